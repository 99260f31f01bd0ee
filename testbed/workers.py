"""Workers other than one process of this version: two on one port, and one that runs from a copy of the files."""

import contextlib
import os
import re
import shutil
import signal
import socket
from pathlib import Path

from testbed.accounting import process_tree
from testbed.processes import ROOT, Worker, free_port, request, wait_until


class Workers(Worker):
    """Two web workers on one port, `tournament.server --processes 2`. The process itself is their supervisor."""

    def __init__(self, redis_url: str, directory: Path, **environment: str) -> None:
        self.metrics_port = free_ports(2)
        super().__init__(redis_url, directory, CLOCK_METRICS_PORT=str(self.metrics_port), **environment)
        self.command[3:3] = ["--processes", "2"]

    def start(self) -> None:
        """Start them and wait until both answer."""
        super().start()
        wait_until(lambda: not self.running or None not in map(self.opened, (1, 2)), "both workers answer")

    def wait_for_ticks(self, seconds: float = 20.0) -> None:
        """Wait until both have ticks, and the supervisor knows."""
        self.wait_for_output('is ready"\n', times=2, seconds=seconds)

    def child(self, number: int) -> int:
        """Return the process id of the first or second worker."""
        return int(re.findall(rf"worker {number} \(process (\d+)\) starts", self.output())[-1])

    def opened(self, number: int) -> float | None:
        """Return how many WebSockets a worker has accepted since it started; None if it does not answer."""
        return self._metric(number, "clock_websockets_opened_total")

    def viewers(self, number: int) -> float | None:
        """Return how many viewers a worker has; None if it does not answer."""
        return self._metric(number, "clock_members")

    def _metric(self, number: int, name: str) -> float | None:
        status, text = request("127.0.0.1", self.metrics_port + number - 1, "/metrics")
        if not status:
            return None
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))

    def kill(self) -> None:
        """End all of them with SIGKILL."""
        children = process_tree(self.pid)[1:] if self.running else []
        super().kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def copy_tree(tree: Path) -> Path:
    """Copy the files that a worker needs, and return the directory of the copy."""
    for name in ("tournament", "clock", "ticker"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", tree)
    return tree


def from_tree(worker: Worker, tree: Path) -> Worker:
    """Make a worker run the files in another directory, and return it."""
    worker.command = ["env", "-C", str(tree), *worker.command]
    return worker


def free_ports(count: int) -> int:
    """Return the first of so many consecutive ports that are free like `free_port`."""
    while True:
        first = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
