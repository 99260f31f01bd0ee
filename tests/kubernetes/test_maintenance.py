"""What operators do, while viewers watch: nobody is cut off, and each is told to go elsewhere.

Each row of the table is a test.
"""

import time

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import inside, kubectl, pods, wait_for
from tests.kubernetes.conftest import VIEWERS, RecordProperty

pytestmark = pytest.mark.timeout(600)


@pytest.mark.fault("all workers are replaced (`kubectl rollout restart`)", "only 4012; gap at most 1 s")
def test_rollout(crowd: Recorder, record_property: RecordProperty) -> None:
    """Each viewer is sent away with the close code for that, and is on another worker at once."""
    result = during(
        crowd,
        lambda: inside("rollout", "restart", "deployment/web"),
        lambda: inside("rollout", "status", "deployment/web"),
        lambda: wait_for("web", 3),
    )
    record_property("measured", str(result))
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.closes[CLOSE_GOING_AWAY] >= VIEWERS
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("3 workers become 5, then 2, then 3", "only 4012; gap at most 1 s")
def test_scaling(crowd: Recorder, record_property: RecordProperty) -> None:
    """Viewers stay where they are until their worker ends."""

    def scale(count: int) -> None:
        inside("scale", "deployment/web", f"--replicas={count}")
        wait_for("web", count)

    result = during(crowd, *(lambda count=count: scale(count) for count in (5, 2, 3)))
    record_property("measured", str(result))
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("a node is drained", "only 4012; gap at most 1 s")
def test_a_node_is_drained(crowd: Recorder, record_property: RecordProperty) -> None:
    """Its workers send their viewers away, and its ticker hands over. Redis is on another node."""
    (redis,) = pods("redis")
    node = next(pod.node for pod in pods("web") if pod.node != redis.node)
    began = time.monotonic()
    took = 0.0

    def drain() -> None:
        nonlocal took
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
        took = time.monotonic() - began

    try:
        result = during(crowd, drain, lambda: wait_for("web", 3))
        record_property("measured", f"{took:.0f} s; {result}")
    finally:
        kubectl("uncordon", node)
    wait_for("ticker", 2)
    # The workers are all on one node now. A rollout spreads them again.
    inside("rollout", "restart", "deployment/web")
    inside("rollout", "status", "deployment/web")
    wait_for("web", 3)
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.longest_gap_ms < 1000
