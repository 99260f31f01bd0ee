"""The overlay `trial` in a cluster of two nodes, undisturbed: `make kubernetes-test`.

Viewers come through a load balancer for TCP that asks the nodes, as those of clouds do.
"""

import json
import os
from pathlib import Path

import pytest

from testbed.kubernetes.manifests import OVERLAYS
from testbed.processes import Program, free_port, request
from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import NAMESPACE, inside, kubectl, leader, pods
from tests.kubernetes.conftest import VIEWERS, RecordProperty
from tests.kubernetes.deployment import LOCALHOST, Clock

pytestmark = pytest.mark.timeout(600)

# Prints the peer of each connection to a worker's port (proc(5): state 01 is established; 1F41 is port 8001).
PEERS = """
import socket
for line in open("/proc/net/tcp").readlines()[1:]:
    local, remote, state = line.split()[1:4]
    if local.endswith(":1F41") and state == "01":
        print(socket.inet_ntoa(bytes.fromhex(remote[:8])[::-1]))
"""


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


@pytest.mark.fault(
    "`watch` looks at the stream for 10 s, through each node",
    "95 frames per second; gap at most 500 ms; lateness (99 %) at most 100 ms; bound at most 50 ms",
)
def test_watch_finds_the_stream_good(clock: Clock, record_property: RecordProperty) -> None:
    """By the addresses of the nodes, which the overlay of the test allows."""
    found = []
    for node in clock.nodes:
        rate, gap, lateness, bound = (one["measured"] for one in clock.watch(node)["limits"])
        found.append(
            f"{rate:.1f} frames per second, gap {gap:.0f} ms, lateness {lateness:.1f} ms, bound {bound:.1f} ms"
        )
    record_property("measured", "; ".join(found))


def test_watch_is_in_the_image(clock: Clock) -> None:
    """It shows a worker from inside its pod."""
    command = ("python", "manage.py", "watch", "--for", "2s", "--json", "--min-rate", "95")
    assert json.loads(inside("exec", "deployment/web", "--", *command))["ok"] is True


def test_a_port_can_be_forwarded_to_the_trial(clock: Clock, tmp_path: Path) -> None:
    """So that a browser finds it at a name that it serves by default."""
    port = free_port()
    command = ["kubectl", "--namespace", NAMESPACE, "port-forward", "service/clock", f"{port}:80"]
    kubeconfig = {name: os.environ[name] for name in ("KUBECONFIG", "HOME") if name in os.environ}
    with Program("port-forward", command, tmp_path, kubeconfig) as forward:
        forward.wait_for_output("Forwarding from")
        assert request("127.0.0.1", port, "/clock/", LOCALHOST)[0] == 200


def test_every_node_serves_the_page(clock: Clock) -> None:
    """Also by its own address, and probes need no allowed host."""
    for node in clock.nodes:
        for path in ("/clock/", "/healthz", "/readyz"):
            assert clock.get(path, node)[0] == 200


def test_workers_see_the_addresses_of_viewers(clock: Clock, crowd: Recorder) -> None:
    """And not those of nodes, as they would after a second hop."""
    peers = [peer for pod in pods("web") for peer in inside("exec", pod.name, "--", "python", "-c", PEERS).splitlines()]
    assert max(peers.count(peer) for peer in set(peers)) >= VIEWERS
    assert not {*peers} & {*clock.nodes.values()}


def test_each_ticker_and_each_worker_has_metrics(clock: Clock) -> None:
    """At its own address, under any Host. One ticker is the leader."""
    for pod in pods("web"):
        assert "clock_ready 1.0" in metrics(pod.name, 9100)
    leading = [pod for pod in pods("ticker") if 'clock_ticker_state{state="leader"} 1.0' in metrics(pod.name, 9101)]
    assert leading == [leader()]


def metrics(pod: str, port: int) -> str:
    """Return the metrics of a pod."""
    return kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/metrics")


def test_prometheus_finds_them_by_name(clock: Clock) -> None:
    """The headless Services give the addresses of all of them."""
    script = "import socket, sys; print(len(socket.gethostbyname_ex(sys.argv[1])[2]))"
    for name, count in (("ticker", 2), ("web", 3)):
        found = inside("exec", "deployment/web", "--", "python", "-c", script, f"{name}.{NAMESPACE}")
        assert int(found) == count, name


def test_containers_have_no_privileges(clock: Clock) -> None:
    """No root, no capability, and a file system that cannot be written to."""
    for component in ("redis", "ticker", "web"):
        script = "id -u; touch /x 2>/dev/null && echo yes || echo no; grep CapEff /proc/self/status"
        uid, can_write, _, capabilities = inside("exec", f"deployment/{component}", "--", "sh", "-c", script).split()
        assert (int(capabilities, 16), can_write) == (0, "no"), component
        assert uid != "0", component


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_the_cluster_accepts_every_overlay(clock: Clock, overlay: object) -> None:
    """By the API server's own validation, without a change: also of those that are not run here."""
    kubectl("apply", "--dry-run=server", "-k", str(overlay))
