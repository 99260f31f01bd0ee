"""The cluster, by kubectl: the clock's pods, and what can be done to them."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from testbed import processes

NAMESPACE: Final = "clock"

# Seconds between two looks at the cluster. kubectl costs a tenth of a second of CPU, which viewers need, too.
LOOK_INTERVAL_S: Final = 0.5


def kubectl(*arguments: str) -> str:
    """Run kubectl and return its output."""
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def inside(*arguments: str) -> str:
    """Run kubectl in the clock's namespace and return its output."""
    return kubectl("--namespace", NAMESPACE, *arguments)


def read(*arguments: str) -> Any:
    """Return what `kubectl get` says of some objects of the clock."""
    return json.loads(inside("get", *arguments, "--output", "json"))


def whatever(*arguments: str) -> str:
    """Return what kubectl prints about the clock, also if it fails."""
    command = ["kubectl", "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def logs(lines: int = -1) -> str:
    """Return the last lines of each pod that has a log, or all of them."""
    return whatever("logs", "--selector", "app.kubernetes.io/name=clock", "--prefix", f"--tail={lines}")


def apply(overlay: Path) -> str:
    """Apply an overlay."""
    return kubectl("apply", "-k", str(overlay))


def nodes() -> dict[str, str]:
    """Return the addresses of the nodes, by name."""
    return {
        node["metadata"]["name"]: one["address"]
        for node in json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
        for one in node["status"]["addresses"]
        if one["type"] == "InternalIP"
    }


def nodes_have(image: str) -> bool:
    """Return whether each node lists an image. A node lists its 50 largest ones."""
    found = json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
    return all(
        any(name.endswith(f"/{image}") for one in node["status"]["images"] for name in one.get("names") or [])
        for node in found
    )


@dataclass(frozen=True)
class Pod:
    """A pod: its name, its node, whether it is being deleted, and how often its container was restarted."""

    name: str
    node: str
    is_terminating: bool
    restarts: int


def _pod(found: dict[str, Any]) -> Pod:
    return Pod(
        found["metadata"]["name"],
        found["spec"].get("nodeName", ""),
        "deletionTimestamp" in found["metadata"],
        sum(status["restartCount"] for status in found["status"].get("containerStatuses", [])),
    )


def pods(component: str) -> list[Pod]:
    """Return the pods of a component, those that are being deleted included."""
    return [_pod(one) for one in read("pods", "--selector", f"app.kubernetes.io/component={component}")["items"]]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Look at the cluster until a condition holds.

    Raises: `TooSlow` after `seconds`.
    """

    def holds() -> bool:
        time.sleep(LOOK_INTERVAL_S)
        return condition()

    processes.wait_until(holds, what, seconds)


def wait_for(component: str, count: int, seconds: float = 120.0) -> None:
    """Wait until a component has so many pods, all of them available and none that is being deleted."""

    def is_settled() -> bool:
        items = read("deployments,pods", "--selector", f"app.kubernetes.io/component={component}")["items"]
        available = [one["status"].get("availableReplicas", 0) for one in items if one["kind"] == "Deployment"]
        found = [one for one in items if one["kind"] == "Pod" and one["status"]["phase"] not in {"Failed", "Succeeded"}]
        return available == [count] and len(found) == count

    wait_until(is_settled, f"{count} pods of {component}", seconds)


def wait_for_restart(component: str, victim: Pod, seconds: float = 60.0) -> None:
    """Wait until the container of a pod has been restarted."""

    def was_restarted() -> bool:
        return any(pod.name == victim.name and pod.restarts > victim.restarts for pod in pods(component))

    wait_until(was_restarted, f"{victim.name} is restarted", seconds)


def leader() -> Pod:
    """Return the ticker that publishes: of those that have become the leader, the one that did last."""
    became: dict[str, Pod] = {}
    for pod in pods("ticker"):
        if not pod.is_terminating:
            log = inside("logs", "--timestamps", pod.name)
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
