"""The clock in a cluster, and a load balancer in front of its nodes."""

import contextlib
import http.client
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from testbed.kubernetes.manifests import FOLDER
from testbed.processes import wait_until

NAMESPACE: Final = "clock"

# Seconds between two checks of the load balancer, as clouds have them or longer. A worker's notice must be longer.
CHECK_INTERVAL_S: Final = 1.0


def kubectl(*arguments: str) -> str:
    """Run kubectl and return its output."""
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def read(*arguments: str) -> Any:
    """Return what `kubectl get` says of some objects of the clock."""
    return json.loads(kubectl("--namespace", NAMESPACE, "get", *arguments, "--output", "json"))


def show(*arguments: str) -> None:
    """Print what kubectl prints about the clock, also if it fails."""
    command = ["kubectl", "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    print(done.stdout + done.stderr)


@dataclass(frozen=True)
class Pod:
    """A pod: its name, its node, whether it is being deleted, and how often its container was restarted."""

    name: str
    node: str
    is_terminating: bool
    restarts: int


def pods(component: str) -> list[Pod]:
    """Return the pods of a component, those that are being deleted included."""
    found = read("pods", "--selector", f"app.kubernetes.io/component={component}")["items"]
    return [
        Pod(
            pod["metadata"]["name"],
            pod["spec"].get("nodeName", ""),
            "deletionTimestamp" in pod["metadata"],
            sum(status["restartCount"] for status in pod["status"].get("containerStatuses", [])),
        )
        for pod in found
    ]


def wait_for(component: str, count: int, seconds: float = 120.0) -> None:
    """Wait until a component has so many pods, all of them available and none that is being deleted."""

    def is_settled() -> bool:
        status = read("deployment", component)["status"]
        return bool(status.get("availableReplicas", 0) == count == len(pods(component)))

    wait_until(is_settled, f"{count} pods of {component}", seconds)


def leader() -> Pod:
    """Return the ticker that publishes: of those that have become the leader, the one that did last."""
    became: dict[str, Pod] = {}
    for pod in pods("ticker"):
        if not pod.is_terminating:
            log = kubectl("--namespace", NAMESPACE, "logs", "--timestamps", pod.name)
            states = [line for line in log.splitlines() if "publishing the time" in line or "standing by" in line]
            if states and "publishing the time" in states[-1]:
                became[states[-1]] = pod
    assert became, "no ticker is the leader"
    return became[max(became)]


def pid_of(pod: Pod) -> int:
    """Return the process id, on this machine, of the clock's process in a pod. Skip the test if it is elsewhere."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_pod = f"HOSTNAME={pod.name}\0".encode() in (path / "environ").read_bytes()
            if is_pod and (path / "cmdline").read_bytes().startswith(b"python"):
                return int(path.name)
    pytest.skip("the processes of the nodes cannot be seen from here, and so not be frozen")


class Balancer:
    """A load balancer for TCP: it asks each node whether it has workers that are ready, as those of clouds do."""

    def __init__(self, nodes: dict[str, str], health_port: int) -> None:
        self.addresses: list[str] = [*nodes.values()]  # of the nodes that get new connections
        self._nodes = nodes
        self._health_port = health_port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._check_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _check_forever(self) -> None:
        while not self._ended.wait(CHECK_INTERVAL_S):
            self.addresses[:] = [one for one in self._nodes.values() if self._is_healthy(one)] or self.addresses

    def _is_healthy(self, address: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}:{self._health_port}/healthz", timeout=2):
                return True
        except OSError:
            return False


@dataclass(frozen=True)
class Clock:
    """The clock as it is deployed: the addresses of its nodes by name, its port there, and the load balancer."""

    nodes: dict[str, str]
    port: int
    balancer: Balancer

    def get(self, path: str, node: str | None = None) -> tuple[int, str]:
        """Return the status and body of a page, from a node. The status is 0 if there is no answer."""
        address = self.nodes[node] if node else self.balancer.addresses[0]
        connection = http.client.HTTPConnection(address, self.port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


@contextlib.contextmanager
def deployed(overlay: str) -> Iterator[Clock]:
    """Apply an overlay to the cluster, and delete it at the end.

    The logs are printed then, which pytest shows if a test has failed.
    """
    existing = json.loads(kubectl("get", "namespaces", "--output", "json"))["items"]
    assert NAMESPACE not in {one["metadata"]["name"] for one in existing}, (
        f"the namespace {NAMESPACE} exists: this test would delete it"
    )
    try:
        kubectl("apply", "-k", str(FOLDER / "overlays" / overlay))
        yield deployment()
    finally:
        show("get", "pods,events", "--output", "wide")
        for component in ("ticker", "web"):
            show("logs", "--selector", f"app.kubernetes.io/component={component}", "--prefix", "--tail", "30")
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def deployment() -> Clock:
    """Return the clock as it is deployed, when all of it is available."""
    for component, count in (("redis", 1), ("ticker", 2), ("web", 3)):
        wait_for(component, count, 180)
    service = read("service", "clock")["spec"]
    nodes = {
        node["metadata"]["name"]: one["address"]
        for node in json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
        for one in node["status"]["addresses"]
        if one["type"] == "InternalIP"
    }
    return Clock(nodes, service["ports"][0]["nodePort"], Balancer(nodes, service["healthCheckNodePort"]))
