"""The clock as it is deployed in the cluster, and a load balancer in front of its nodes."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

from testbed.kubernetes.manifests import FOLDER
from testbed.processes import ROOT, request
from tests.kubernetes.cluster import NAMESPACE, apply, kubectl, logs, nodes, read, wait_for, whatever

# The name under which every deployment answers.
LOCALHOST: Final = {"Host": "localhost"}

# The pods of each component.
COUNTS: Final = {"redis": 1, "ticker": 2, "web": 3}

# Seconds between two checks of the load balancer, as clouds have them or longer. A worker's notice must be longer.
CHECK_INTERVAL_S: Final = 1.0

# An overlay as docs/operations.md has it: it adds the names by which viewers reach the clock.
KUSTOMIZATION: Final = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {base}
configMapGenerator:
  - name: settings
    namespace: clock
    behavior: merge
    literals:
      - DJANGO_ALLOWED_HOSTS={hosts}
"""

# What `watch` must find: frames per second, the longest gap, the lateness of 99 %, and the error bound.
LIMITS: Final = ("--min-rate", "95", "--max-gap", "500ms", "--max-lateness", "100ms", "--max-bound", "50ms")


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
        return request(address, self._health_port, "/healthz", LOCALHOST, timeout_s=2)[0] == HTTPStatus.OK


@dataclass(frozen=True)
class Clock:
    """The clock as it is deployed: the addresses of its nodes by name, its port there, and the load balancer."""

    nodes: dict[str, str]
    port: int
    balancer: Balancer

    def get(self, path: str, node: str | None = None) -> tuple[int, str]:
        """Return the status and body of a page, from a node. The status is 0 if there is no answer."""
        return request(self.nodes[node] if node else self.balancer.addresses[0], self.port, path, LOCALHOST)

    def watch(self, node: str | None = None) -> dict[str, Any]:
        """Have `manage.py watch` judge the stream for 10 s, from outside; return its report.

        Raises: `AssertionError` with the report if a limit does not hold.
        """
        url = f"http://{self.nodes[node] if node else self.balancer.addresses[0]}:{self.port}"
        command = [sys.executable, "manage.py", "watch", url, "--for", "10s", "--json", *LIMITS]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"watch: exit code {done.returncode}: {done.stdout}{done.stderr}"
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@contextlib.contextmanager
def overlay(name: str) -> Iterator[Path]:
    """Write an overlay on top of one of ours that also serves the addresses of the nodes; return its folder."""
    with tempfile.TemporaryDirectory(prefix="clock-overlay-") as directory:
        folder = Path(directory).resolve()
        base = os.path.relpath(FOLDER / "overlays" / name, folder)
        hosts = ",".join(("localhost", "127.0.0.1", *nodes().values()))
        (folder / "kustomization.yaml").write_text(KUSTOMIZATION.format(base=base, hosts=hosts))
        yield folder


@contextlib.contextmanager
def deployed(name: str) -> Iterator[Clock]:
    """Apply an overlay to the cluster, and delete it at the end.

    The logs are printed then, which pytest shows if a test has failed.
    """
    existing = json.loads(kubectl("get", "namespaces", "--output", "json"))["items"]
    assert NAMESPACE not in {one["metadata"]["name"] for one in existing}, (
        f"the namespace {NAMESPACE} exists: this test would delete it"
    )
    try:
        with overlay(name) as folder:
            apply(folder)
        yield _clock()
    finally:
        print(whatever("get", "pods,events", "--output", "wide"), logs(30), sep="\n")
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def _clock() -> Clock:
    """Return the clock when all of it is available."""
    for component, count in COUNTS.items():
        wait_for(component, count, 180)
    service = read("service", "clock")["spec"]
    found = nodes()
    return Clock(found, service["ports"][0]["nodePort"], Balancer(found, service["healthCheckNodePort"]))
