"""A process that is told to stop while it starts ends, with exit code 0."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.processes import ROOT, Broker, Ticker, Worker
from tournament.up.broker import free_port

WORKER = ["-m", "tournament.server", "-p"]
TICKER = ["manage.py", "ticker"]

# Signals at moments from when SIGTERM is first caught to when all runs: how many, and seconds until the last.
MOMENTS = 12
LATEST = 1.2


@pytest.mark.parametrize("part", ["worker", "ticker"])
def test_sigterm_during_startup_is_not_lost(broker: Broker, part: str) -> None:
    """Whenever it comes, the process ends by itself: neither killed by the signal nor deaf to it."""
    draw = random.Random(4)
    for number in range(MOMENTS):
        moment = LATEST * (number + draw.random()) / MOMENTS if number else 0.0
        options = [*WORKER, str(free_port()), "tournament.asgi:application"] if part == "worker" else TICKER
        environment = {**os.environ, "REDIS_URL": broker.url, "CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "0"}
        environment["CLOCK_NAMESPACE"] = f"startup-{part}"
        with subprocess.Popen(
            [sys.executable, *options], cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            wait_for_handler(process.pid)
            time.sleep(moment)
            process.send_signal(signal.SIGTERM)
            try:
                _, errors = process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail(f"SIGTERM was lost {moment:.2f} s after the start")
        assert process.returncode == 0, errors.decode()
        assert b"Traceback" not in errors


def wait_for_handler(pid: int) -> None:
    """Wait until a process catches SIGTERM (proc(5): SigCgt)."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)
    pytest.fail("it never catches SIGTERM")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_other_signals_that_stop(broker: Broker, ticker: Ticker, directory: Path, number: signal.Signals) -> None:
    """A terminal that closes, or Ctrl-Backslash on it, drains a worker too."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as worker:
        worker.wait_for_ticks()
        worker.signal(number)
        assert worker.wait() == 0
        assert f"stopping on {number.name}: draining" in worker.output()


def test_signals_that_are_ignored(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """SIGUSR1 and SIGUSR2 mean nothing to a worker."""
    assert ticker.running
    with Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        worker.signal(signal.SIGUSR1)
        worker.signal(signal.SIGUSR2)
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0


# Runs a part up to its first slow import, and tells whether SIGTERM has a handler by then.
PROBE = """
import importlib.abc, runpy, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {"django", "daphne", "twisted"}:
            sys.exit(0 if callable(signal.getsignal(signal.SIGTERM)) else 1)

sys.meta_path.insert(0, Finder())
sys.argv = %r
%s
"""


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (TICKER, "runpy.run_path('manage.py', run_name='__main__')"),
        (["server"], "runpy.run_module('tournament.server', run_name='__main__')"),
    ],
    ids=["ticker", "worker"],
)
def test_the_handler_is_there_before_the_imports(arguments: list[str], run: str) -> None:
    """As process 1 of a container it would otherwise be deaf for as long as they take."""
    probe = subprocess.run([sys.executable, "-c", PROBE % (arguments, run)], cwd=ROOT, check=False, timeout=20)
    assert probe.returncode == 0
