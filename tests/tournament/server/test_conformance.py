"""The WebSocket protocol as such: Autobahn's cases, on `tournament.server` and on plain Daphne beside it."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from testbed.processes import Program, accepts_connections, wait_until
from tournament.up.broker import free_port

# Bytes: the largest message of all cases, in 9.1.6 and 9.2.6. What the clock takes in is far less.
LARGEST_MESSAGE: Final = 16 * 1024 * 1024

# Seconds, so that there is hardly a ping: it is allowed at any time, and yet none of the cases reckons with one.
PING_INTERVAL: Final = 600

# Daphne sends no empty message, so these, which want one echoed, fail on it; `tournament.server` need not be better.
EMPTY_MESSAGES: Final = {"1.1.1", "1.2.1", "6.1.1", "6.1.2"}

# All other cases are run: those of group 9, on size and speed, take a few seconds together.
LEFT_OUT: Final = (
    # They want a thousand empty messages echoed, and would each wait 20 seconds for the first.
    "9.7.1",
    "9.8.1",
    # Daphne agrees to no compression, and without it they send nothing: the first of each 18 does for all. Were an
    # offer not answered at all, each would wait 5 seconds.
    *(f"{group}.*.{number}" for group in (12, 13) for number in range(2, 19)),
)

# A good message, and right behind it what ends the connection. Whether the echo gets out before the end depends on how
# much is read at once, and may differ from run to run; both are conformant.
RACES: Final = {"3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15", "7.1.6"}

PING: Final = "9"  # the opcode, as the reports have it

# Unimplemented is an extension that is not agreed to.
CONFORMANT: Final = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


class Verdict(NamedTuple):
    """How a server did in one case: in the exchange itself, and in the end of the connection."""

    exchange: str
    closing: str
    close_code: int | None

    @property
    def conforms(self) -> bool:
        """Whether it is what the protocol allows."""
        return {self.exchange, self.closing} <= CONFORMANT


Verdicts = dict[str, Verdict]
Reports = dict[str, dict[str, Any]]


class Server(Program):
    """A server that echoes: `tournament.server`, or plain Daphne."""

    def __init__(self, name: str, directory: Path, *program: str) -> None:
        self.port = free_port()
        options = [f"--websocket-max-{what}-size={LARGEST_MESSAGE}" for what in ("message", "frame")]
        options += [f"--ping-interval={PING_INTERVAL}", f"--port={self.port}"]
        command = [sys.executable, "-m", *program, *options, "tests.tournament.server.echo:application"]
        super().__init__(name, command, directory)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        super().start()
        wait_until(lambda: not self.running or accepts_connections(self.port), "the server takes connections")
        assert self.running, self.output()


class Cases(Program):
    """Autobahn's cases, all or a selection, one after the other on one server.

    They run in a process of their own: kosoku puts a stand-in for `autobahn` on the import path, and Daphne needs the
    real one.
    """

    def __init__(self, server: Server, directory: Path, *selection: str) -> None:
        self._reports = Path(tempfile.mkdtemp(prefix="reports-", dir=directory))
        kosoku = str(Path(sys.executable).with_name("kosoku"))
        choice = [f"--include={case}" for case in selection] + [f"--exclude={case}" for case in LEFT_OUT]
        command = [kosoku, *choice, f"--outdir={self._reports}", f"ws://127.0.0.1:{server.port}/"]
        super().__init__("cases", command, directory)

    def reports(self) -> Reports:
        """Wait for the end, and return the report on each case."""
        self.wait(100)  # the exit code only says that something was not passed
        reports = [json.loads(file.read_text()) for file in sorted(self._reports.glob("*_case_*.json"))]
        assert reports, self.output()
        return {report["id"]: report for report in reports}


def judge(server: Server, cases: Cases, directory: Path) -> Verdicts:
    """Return the verdict on each case. It is run once more if a ping came in between: the first may come at once."""
    reports = cases.reports()
    if pinged := [case for case, report in reports.items() if PING in report["rxFrameStats"]]:
        with Cases(server, directory, *pinged) as again:
            reports |= again.reports()
    return {
        case: Verdict(report["behavior"], report["behaviorClose"], report["remoteCloseCode"])
        for case, report in reports.items()
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tournament.server`, echoing."""
    with Server("tournament", tmp_path_factory.mktemp("conformance"), "tournament.server") as server:
        yield server


@pytest.fixture(scope="module")
def verdicts(ours: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdicts, Verdicts]:
    """The verdicts on `tournament.server` and on plain Daphne, made at the same time: most of it is waiting."""
    directory = tmp_path_factory.mktemp("conformance")
    with ExitStack() as running:
        plain = running.enter_context(Server("daphne", directory, "daphne", "-v", "0"))
        on_ours, on_plain = (running.enter_context(Cases(server, directory)) for server in (ours, plain))
        return judge(ours, on_ours, directory), judge(plain, on_plain, directory)


@pytest.mark.parametrize(
    ("group", "cases"),
    [
        pytest.param("1", 16, id="framing"),
        pytest.param("2", 11, id="pings"),
        pytest.param("3", 7, id="reserved-bits"),
        pytest.param("4", 10, id="opcodes"),
        pytest.param("5", 20, id="fragments"),
        pytest.param("6", 145, id="utf-8"),
        pytest.param("7", 37, id="closing"),
        pytest.param("9", 52, id="size-and-speed"),
        pytest.param("10", 1, id="odds-and-ends"),
        pytest.param("12", 5, id="compression"),
        pytest.param("13", 7, id="compression-options"),
    ],
)
def test_it_does_as_daphne_does(verdicts: tuple[Verdicts, Verdicts], group: str, cases: int) -> None:
    """The same verdict in every case, except where the outcome is open or Daphne fails: there, any that conforms."""
    ours, plain = ({case: own[case] for case in own if case.split(".")[0] == group} for own in verdicts)
    assert len(ours) == cases
    assert ours.keys() == plain.keys()
    deviations = [
        f"{case}: {ours[case]}, on plain Daphne {plain[case]}"
        for case in ours
        if ours[case] != plain[case] and not (case in RACES | EMPTY_MESSAGES and ours[case].conforms)
    ]
    assert not deviations, "\n".join(deviations)


def test_nothing_fails_but_what_daphne_cannot_do(verdicts: tuple[Verdicts, Verdicts]) -> None:
    """Daphne fails the cases that want an empty message back, and `tournament.server` no others."""
    ours, plain = ({case for case in own if not own[case].conforms} for own in verdicts)
    assert plain == EMPTY_MESSAGES
    assert ours <= plain


def test_it_prints_no_traceback(verdicts: tuple[Verdicts, Verdicts], ours: Server) -> None:
    """Whatever the cases sent."""
    assert ours.stop() == 0
    assert "Traceback" not in ours.output()
