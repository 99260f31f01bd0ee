"""The overlay `trial` in a real cluster, with viewers: `make kubernetes-test`. It needs kubectl and two nodes.

Viewers come through a load balancer for TCP that asks the nodes, as those of clouds do. Each row of the table in
docs/operations.md is a test. The tests leave three workers, two tickers and one Redis.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.kubernetes.manifests import OVERLAYS
from testbed.processes import wait_until
from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import NAMESPACE, Clock, deployed, kubectl, leader, pid_of, pods, read, wait_for

pytestmark = pytest.mark.timeout(600)

VIEWERS = 90

# Prints the peer of each connection to a worker's port (proc(5): state 01 is established; 1F41 is port 8001).
PEERS = """
import socket
for line in open("/proc/net/tcp").readlines()[1:]:
    local, remote, state = line.split()[1:4]
    if local.endswith(":1F41") and state == "01":
        print(socket.inet_ntoa(bytes.fromhex(remote[:8])[::-1]))
"""

RecordProperty = Callable[[str, object], None]


def inside(*arguments: str) -> Callable[[], str]:
    """Return a step: kubectl, in the clock's namespace."""
    return lambda: kubectl("--namespace", NAMESPACE, *arguments)


def settled(component: str, count: int) -> Callable[[], None]:
    """Return a step: wait for so many pods."""
    return lambda: wait_for(component, count)


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    """The clock in the cluster."""
    with deployed("trial") as clock, clock.balancer:
        wait_until(lambda: clock.get("/clock/now")[0] == 200, "/clock/now answers with the time", 60)
        yield clock


@pytest.fixture
def crowd(clock: Clock) -> Iterator[Recorder]:
    """Viewers that reconnect as the page does."""
    with Recorder(addresses=clock.balancer.addresses) as recorder:
        recorder.add(VIEWERS, [clock.port], reconnects=True)
        recorder.run(2)
        yield recorder


@pytest.mark.fault("nothing, for 10 s", "95 frames per second for each viewer; no connection ends")
def test_viewers_receive_all_frames(clock: Clock, crowd: Recorder, record_property: RecordProperty) -> None:
    """Tickers and workers are on both nodes."""
    result = during(crowd, after_s=10)
    streams = [client.visits[-1].frames for client in crowd.clients]
    rate = min((len(frames) - 1) * 1000 / (frames[-1].at - frames[0].at) for frames in streams)
    record_property("measured", f"{rate:.1f} frames per second; {result}")
    assert len({pod.node for pod in pods("ticker")}) == 2
    assert len({pod.node for pod in pods("web")}) >= 2
    assert rate > 95
    assert not result.closes


def test_every_node_serves_the_page(clock: Clock) -> None:
    """Also by its own address, and probes need no allowed host."""
    for node in clock.nodes:
        for path in ("/clock/", "/healthz", "/readyz"):
            assert clock.get(path, node)[0] == 200


def test_workers_see_the_addresses_of_viewers(clock: Clock, crowd: Recorder) -> None:
    """And not those of nodes, as they would after a second hop."""
    peers = [
        peer for pod in pods("web") for peer in inside("exec", pod.name, "--", "python", "-c", PEERS)().splitlines()
    ]
    assert max(peers.count(peer) for peer in set(peers)) >= VIEWERS
    assert not {*peers} & {*clock.nodes.values()}


@pytest.mark.fault("all workers are replaced (`kubectl rollout restart`)", "only 4012; gap at most 1 s")
def test_rollout(crowd: Recorder, record_property: RecordProperty) -> None:
    """Each viewer is sent away with the close code for that, and is on another worker at once."""
    result = during(
        crowd,
        inside("rollout", "restart", "deployment/web"),
        inside("rollout", "status", "deployment/web"),
        settled("web", 3),
    )
    record_property("measured", str(result))
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.closes[CLOSE_GOING_AWAY] >= VIEWERS
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("3 workers become 5, then 2, then 3", "only 4012; gap at most 1 s")
def test_scaling(crowd: Recorder, record_property: RecordProperty) -> None:
    """Viewers stay where they are until their worker ends."""
    result = during(
        crowd,
        inside("scale", "deployment/web", "--replicas=5"),
        settled("web", 5),
        inside("scale", "deployment/web", "--replicas=2"),
        settled("web", 2),
        inside("scale", "deployment/web", "--replicas=3"),
        settled("web", 3),
    )
    record_property("measured", str(result))
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("the leading ticker is deleted", "no connection ends; gap at most 0.3 s")
def test_the_leading_ticker_is_deleted(crowd: Recorder, record_property: RecordProperty) -> None:
    """It releases the lease, and the standby takes over."""
    result = during(crowd, inside("delete", "pod", leader().name, "--wait=false"), settled("ticker", 2))
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 300


@pytest.mark.fault("the leading ticker freezes", "no connection ends; gap at most 2 s; it is restarted within 60 s")
def test_the_leading_ticker_freezes(crowd: Recorder, record_property: RecordProperty) -> None:
    """The standby takes over when the lease expires. The liveness probe has the process replaced."""
    victim = leader()
    pid = pid_of(victim)

    def was_restarted() -> bool:
        return any(pod.name == victim.name and pod.restarts > victim.restarts for pod in pods("ticker"))

    steps: list[Callable[[], object]] = [lambda: os.kill(pid, signal.SIGSTOP), lambda: time.sleep(5)]
    steps.append(lambda: wait_until(was_restarted, "the ticker is restarted", 60))
    result = during(crowd, *steps, settled("ticker", 2))
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 2000


@pytest.mark.fault(
    "a worker freezes", "its viewers are back within 20 s, and nobody else loses the connection; it is restarted"
)
def test_a_worker_freezes(crowd: Recorder, record_property: RecordProperty) -> None:
    """Its viewers notice the silence after 5 s, and its probes fail."""
    victim = pods("web")[0]
    pid = pid_of(victim)
    text = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{victim.name}:9100/proxy/metrics")
    viewers = sum(float(value) for value in re.findall(r"^clock_members\{.*\} (\S+)$", text, re.MULTILINE))

    def was_restarted() -> bool:
        return any(pod.name == victim.name and pod.restarts > victim.restarts for pod in pods("web"))

    result = during(
        crowd,
        lambda: os.kill(pid, signal.SIGSTOP),
        lambda: wait_until(was_restarted, "the worker is restarted", 60),
        settled("web", 3),
    )
    record_property("measured", f"{viewers:.0f} viewers; {result}")
    assert set(result.closes) <= {None}
    # A viewer may have reached the frozen worker again before its probe failed.
    affected = sum(any(visit.closed_ns for visit in client.visits) for client in crowd.clients)
    assert affected == viewers
    assert result.longest_gap_ms < 20_000


@pytest.mark.fault("a node is drained", "only 4012; gap at most 1 s")
def test_a_node_is_drained(crowd: Recorder, record_property: RecordProperty) -> None:
    """Its workers send their viewers away, and its ticker hands over. Redis is on another node."""
    (redis,) = pods("redis")
    node = next(pod.node for pod in pods("web") if pod.node != redis.node)
    began = time.monotonic()
    took = 0.0

    def measure() -> None:
        nonlocal took
        took = time.monotonic() - began

    try:
        result = during(
            crowd,
            lambda: kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"),
            measure,
            settled("web", 3),
        )
    finally:
        kubectl("uncordon", node)
    wait_for("ticker", 2)
    record_property("measured", f"{took:.0f} s; {result}")
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("Redis is replaced", "no connection ends; gap at most 10 s")
def test_redis_is_replaced(crowd: Recorder, record_property: RecordProperty) -> None:
    """Ticks stop until the next one runs, and workers are not ready meanwhile. All of them keep their viewers."""
    (redis,) = pods("redis")
    result = during(crowd, inside("delete", "pod", redis.name, "--wait=false"), settled("redis", 1), settled("web", 3))
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 10_000


def test_containers_have_no_privileges(clock: Clock) -> None:
    """No root, no capability, and a file system that cannot be written to."""
    for component in ("redis", "ticker", "web"):
        script = "id -u; touch /x 2>/dev/null && echo yes || echo no; grep CapEff /proc/self/status"
        uid, can_write, _, capabilities = kubectl(
            "--namespace", NAMESPACE, "exec", f"deployment/{component}", "--", "sh", "-c", script
        ).split()
        assert (int(capabilities, 16), can_write) == (0, "no"), component
        assert uid != "0", component


def test_no_process_has_printed_a_traceback(clock: Clock) -> None:
    """Of those that run now."""
    for pod in (*pods("ticker"), *pods("web")):
        log = inside("logs", pod.name)()
        assert "Traceback" not in log, log


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_the_cluster_accepts_every_overlay(clock: Clock, overlay: object) -> None:
    """By the API server's own validation, without a change: also of those that are not run here."""
    kubectl("apply", "--dry-run=server", "-k", str(overlay))


@pytest.mark.fault("without Redis, behind HAProxy (overlay `haproxy`)", "pages open, and say that no time arrives")
def test_pages_without_redis(clock: Clock, record_property: RecordProperty) -> None:
    """HAProxy sends streams to workers that are ready and pages to those that are alive. It comes last: it stays."""
    (overlay,) = (path for path in OVERLAYS if path.name == "haproxy")
    kubectl("apply", "-k", str(overlay))
    wait_for("haproxy", 2)
    assert clock.get("/clock/now")[0] == 200
    inside("scale", "deployment/redis", "--replicas=0")()
    wait_until(lambda: read("deployment", "web")["status"].get("availableReplicas", 0) == 0, "no worker is ready", 60)
    statuses = {path: clock.get(path)[0] for path in ("/clock/", "/healthz", "/readyz")}
    record_property("measured", ", ".join(f"`{path}` {status}" for path, status in statuses.items()))
    assert statuses == {"/clock/": 200, "/healthz": 200, "/readyz": 503}
