"""`python manage.py watch`, as a user runs it."""

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from django.core.management import CommandError, call_command

from clock import __version__
from clock.management.commands import watch as module
from clock.watch.limits import Limits
from clock.watch.session import Display, Plan
from testbed.processes import ROOT, Program, Worker, free_port
from tests.clock.watch.examples import SCHEMA, summary
from tests.project.documents import commands

OPERATIONS = ROOT / "docs" / "operations.md"
COMMAND = [sys.executable, "manage.py", "watch"]
LIMITS = ["--min-rate", "5", "--max-gap", "5s", "--max-lateness", "5s", "--max-bound", "5s"]


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process must not change how the interpreter works."""
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it without a Redis."""
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1:1"}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_probe(worker: Worker) -> None:
    """One line of JSON, which follows its schema, and exit code 0."""
    done = run(f"http://{worker.host}", "--for", "500ms", "--json", *LIMITS)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    jsonschema.validate(report, SCHEMA)
    assert report["ok"] is True
    assert report["version"] == __version__
    assert report["frames"] > 2
    assert [limit["holds"] for limit in report["limits"]] == [True] * 4


def test_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The message on standard error, its exit code, and a report all the same."""
    monkeypatch.setattr(module, "_exit_soon", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        call_command("watch", f"http://127.0.0.1:{free_port()}", "--json")
    assert ended.value.code == 11
    shown = capsys.readouterr()
    assert shown.err.startswith("watch: 127.0.0.1:")
    report = json.loads(shown.out)
    jsonschema.validate(report, SCHEMA)
    assert report["failure"]["kind"] == "refused"


def test_a_reader_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `head` does. It is no error to report."""

    async def write(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(module, "_run", write)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        call_command("watch")
    assert ended.value.code == module.READER_ENDED


def test_without_a_terminal(worker: Worker, directory: Path) -> None:
    """It prints a line per second. Ctrl-C, or SIGTERM, ends it with the summary."""
    with Program("watch", [*COMMAND, f"http://{worker.host}"], directory) as program:
        program.wait_for_output(" Hz, lateness", times=2)
        program.signal(signal.SIGINT)
        assert program.wait() == 0
        assert "reconnects: 0" in program.output()
        assert "Traceback" not in program.output()


def test_on_a_terminal(worker: Worker) -> None:
    """It draws the screen, and leaves the terminal as it was."""
    master, terminal = pty.openpty()
    command = [*COMMAND, f"http://{worker.host}", "--for", "1s", "--viewers", "2"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=terminal, stdout=terminal, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(master, 65_536):
                shown += data
        except OSError:  # the terminal has no other side any more
            pass
        assert process.wait(30) == 0
    os.close(master)
    text = shown.decode()
    assert "since the start" in text
    assert "2 of 2" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is visible again"


# --- The command line, without a process ---


def plan_of(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return the plan that follows from arguments."""
    plans: list[Plan] = []

    async def keep(plan: Plan, display: Display) -> int:
        plans.append(plan)
        display.end(summary(), [])
        return 0

    monkeypatch.setattr(module, "_run", keep)
    with pytest.raises(SystemExit) as ended:
        call_command("watch", *arguments)
    assert ended.value.code == 0
    (plan,) = plans
    return plan


def test_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """One viewer of the clock that `make up` runs, until it is stopped, without limits."""
    plan = plan_of(monkeypatch=monkeypatch)
    assert plan.target.stream_url == "ws://127.0.0.1:8001/ws/clock/"
    assert plan == Plan(plan.target, "http://127.0.0.1:8001")


def test_all_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations may have several units."""
    plan = plan_of(
        "http://a/clock/",
        *("--for", "10s", "--json", "--viewers", "90", "--rate", "auto", "--origin", "https://b"),
        *("--min-rate", "95", "--max-gap", "250ms", "--max-lateness", "1s", "--max-bound", "20ms"),
        monkeypatch=monkeypatch,
    )
    assert plan == Plan(plan.target, "https://b", None, 90, 10.0, Limits(95, 250, 1_000, 20))
    assert plan.target.stream_url == "ws://a/ws/clock/?rate=auto"


def test_the_commands_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is valid, and they have all options that are for everybody."""
    monkeypatch.setattr(module, "Exporter", lambda display, _address, _port: display)
    documented = [one for one in commands(OPERATIONS) if one.startswith("python manage.py watch ")]
    plans = [plan_of(*shlex.split(one)[3:], monkeypatch=monkeypatch) for one in documented]
    assert {plan.target.netloc for plan in plans} == {"clock.example.org", "127.0.0.1:8001"}
    assert {plan.viewers for plan in plans} == {1, 20}
    assert {plan.duration_s for plan in plans} == {None, 10.0}
    assert Limits(95, 250, 50, 20) in {plan.limits for plan in plans}
    assert {plan.keeps_trying for plan in plans} == {False, True}


def test_as_a_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a port for metrics it keeps trying, also without a first frame."""
    port = free_port()
    assert plan_of("--metrics-port", str(port), "--metrics-address", "127.0.0.1", monkeypatch=monkeypatch).keeps_trying
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CommandError, match="cannot be opened"):
        call_command("watch", "--metrics-port", str(taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clock.example"], "expected is an origin"),
        (["https://a", "--ca-file", "/nowhere"], "--ca-file /nowhere"),
        (["https://a", "--ca-file", "manage.py"], "--ca-file manage.py"),
        (["--max-gap", "250"], "not a duration"),
        (["--viewers", "0"], "not a number of viewers"),
        (["--rate", "7"], "invalid choice"),
    ],
)
def test_an_invalid_command_line(arguments: list[str], message: str) -> None:
    """It says what is wrong. The exit code is 2."""
    with pytest.raises(CommandError, match=message) as raised:
        call_command("watch", *arguments)
    assert raised.value.returncode in {1, 2}


def test_the_exit_code_of_an_invalid_command_line() -> None:
    """2, whoever notices."""
    with pytest.raises(CommandError) as raised:
        call_command("watch", "clock.example")
    assert raised.value.returncode == module.INVALID_COMMAND_LINE
