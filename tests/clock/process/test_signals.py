"""Signals: a process that is told to stop while it starts exits with 0, and a worker handles those that stop."""

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

# Seconds from when SIGTERM is first caught to when everything runs.
LATEST_S = 1.2


@pytest.mark.parametrize("moments", [3, pytest.param(12, marks=pytest.mark.soak)])
@pytest.mark.parametrize("part", ["worker", "ticker"])
def test_sigterm_during_startup_is_not_lost(broker: Broker, part: str, moments: int) -> None:
    """At any moment of its start, a process exits by itself on SIGTERM: it is neither killed nor does it ignore it."""
    draw = random.Random(4)
    for number in range(moments):
        moment = LATEST_S * (number + draw.random()) / moments if number else 0.0
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
    pytest.fail("the process never catches SIGTERM")


def test_signals_of_a_running_worker(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """SIGUSR1 and SIGUSR2 are ignored; SIGHUP, which a terminal sends when it closes, stops the worker gracefully."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as worker:
        worker.wait_for_ticks()
        worker.signal(signal.SIGUSR1)
        worker.signal(signal.SIGUSR2)
        assert worker.get("/healthz")[0] == 200
        worker.signal(signal.SIGHUP)
        assert worker.wait() == 0
        assert "stopping on SIGHUP: draining" in worker.output()
        assert "worker ended: stopped by SIGHUP" in worker.output().splitlines()[-1]


# Runs a part up to its first slow import, and exits with 0 if SIGTERM has a handler by then.
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
def test_the_handler_is_installed_before_the_imports(arguments: list[str], run: str) -> None:
    """As process 1 of a container the part would otherwise ignore SIGTERM for as long as the imports take."""
    probe = subprocess.run([sys.executable, "-c", PROBE % (arguments, run)], cwd=ROOT, check=False, timeout=20)
    assert probe.returncode == 0
