"""Parts of the clock are deleted, or freeze, while viewers watch. Each row of the table is a test."""

import os
import re
import signal
import time

import pytest

from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import (
    NAMESPACE,
    inside,
    kubectl,
    leader,
    pid_of,
    pods,
    wait_for,
    wait_for_restart,
)
from tests.kubernetes.conftest import RecordProperty

pytestmark = pytest.mark.timeout(600)


@pytest.mark.fault("the leading ticker is deleted", "no connection ends; gap at most 0.3 s")
def test_the_leading_ticker_is_deleted(crowd: Recorder, record_property: RecordProperty) -> None:
    """It releases the lease, and the standby takes over."""
    victim = leader()
    result = during(crowd, lambda: inside("delete", "pod", victim.name), lambda: wait_for("ticker", 2))
    record_property("measured", str(result))
    assert leader() != victim
    assert not result.closes
    assert result.longest_gap_ms < 300


@pytest.mark.fault("the leading ticker freezes", "no connection ends; gap at most 2 s; it is restarted within 60 s")
def test_the_leading_ticker_freezes(crowd: Recorder, record_property: RecordProperty) -> None:
    """The standby takes over when the lease expires. The liveness probe has the process replaced."""
    victim = leader()
    pid = pid_of(victim)
    began = time.monotonic()
    took = 0.0

    def freeze() -> None:
        nonlocal took
        os.kill(pid, signal.SIGSTOP)
        wait_for_restart("ticker", victim)
        took = time.monotonic() - began

    result = during(crowd, freeze, lambda: wait_for("ticker", 2))
    record_property("measured", f"{result}; restarted after {took:.0f} s")
    assert not result.closes
    assert 500 < result.longest_gap_ms < 2000  # a frozen standby would leave no gap


@pytest.mark.fault(
    "a worker freezes", "its viewers are back within 20 s, and nobody else loses the connection; it is restarted"
)
def test_a_worker_freezes(crowd: Recorder, record_property: RecordProperty) -> None:
    """Its viewers notice the silence after 5 s, and its probes fail."""
    victim = pods("web")[0]
    pid = pid_of(victim)
    text = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{victim.name}:9100/proxy/metrics")
    viewers = sum(float(value) for value in re.findall(r"^clock_members\{.*\} (\S+)$", text, re.MULTILINE))

    def freeze() -> None:
        os.kill(pid, signal.SIGSTOP)
        wait_for_restart("web", victim)

    result = during(crowd, freeze, lambda: wait_for("web", 3))
    record_property("measured", f"{viewers:.0f} viewers; {result}")
    assert set(result.closes) == {None}
    # A viewer may have reached the frozen worker again before its probe failed.
    affected = sum(any(visit.closed_ns for visit in client.visits) for client in crowd.clients)
    assert affected == viewers
    assert result.longest_gap_ms < 20_000


@pytest.mark.fault("Redis is replaced", "no connection ends; gap at most 10 s")
def test_redis_is_replaced(crowd: Recorder, record_property: RecordProperty) -> None:
    """Ticks stop until the next one runs, and workers are not ready meanwhile. All of them keep their viewers."""
    (redis,) = pods("redis")
    result = during(
        crowd,
        lambda: inside("delete", "pod", redis.name),
        lambda: wait_for("redis", 1),
        lambda: wait_for("web", 3),
    )
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 10_000
