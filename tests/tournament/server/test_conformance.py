"""Conformance to the WebSocket protocol: Autobahn's cases, on `tournament.server` and on plain Daphne."""

import json
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from testbed.processes import Program, accepts_connections, wait_until
from tournament.up.broker import free_port

# The largest message of all cases, in 9.1.6 and 9.2.6. A worker of the clock accepts no messages.
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

# Long enough that there is hardly a ping: one is allowed at any time, but no case expects it.
PING_INTERVAL_S: Final = 600

# Daphne sends no empty message, so these cases, which want one echoed, fail on it, and may fail on `tournament.server`.
EMPTY_MESSAGES: Final = {"1.1.1", "1.2.1", "6.1.1", "6.1.2"}

# All other cases are run.
LEFT_OUT: Final = (
    # They want a thousand empty messages echoed, and would each wait 20 seconds for the first one.
    "9.7.1",
    "9.8.1",
    # Daphne negotiates no compression, and without it these cases send nothing: the first of each 18 is enough.
    *(f"{group}.*.{number}" for group in (12, 13) for number in range(2, 19)),
)

# A valid message, followed at once by what ends the connection. Whether the echo is sent before the end depends on how
# much is read at once, and may differ from run to run. Both conform.
RACES: Final = {"3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15", "7.1.6"}

PING: Final = "9"  # the opcode, as the reports have it

# "Unimplemented" is an extension that is not negotiated.
CONFORMANT: Final = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


class Verdict(NamedTuple):
    """The result of one case: of the exchange itself, and of the end of the connection."""

    exchange: str
    closing: str
    close_code: int | None

    @property
    def conforms(self) -> bool:
        """Whether the protocol allows it."""
        return {self.exchange, self.closing} <= CONFORMANT


Verdicts = dict[str, Verdict]
Reports = dict[str, dict[str, Any]]


class Server(Program):
    """A server that echoes: `tournament.server`, or plain Daphne."""

    def __init__(self, name: str, directory: Path, *program: str) -> None:
        self.port = free_port()
        options = [f"--websocket-max-{what}-size={MAX_MESSAGE_BYTES}" for what in ("message", "frame")]
        options += [f"--ping-interval={PING_INTERVAL_S}", f"--port={self.port}"]
        command = [sys.executable, "-m", *program, *options, "tests.tournament.server.echo:application"]
        super().__init__(name, command, directory, {"CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "0"})

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: not self.running or accepts_connections(self.port), "the server accepts connections")
        assert self.running, self.output()


class Cases(Program):
    """Autobahn's cases, all or a selection, one after the other on one server.

    They run in a process of their own: kosoku puts a replacement for `autobahn` on the import path, and Daphne needs
    the real one.
    """

    def __init__(self, server: Server, directory: Path, selection: Collection[str]) -> None:
        self._reports = Path(tempfile.mkdtemp(prefix="reports-", dir=directory))
        kosoku = str(Path(sys.executable).with_name("kosoku"))
        choice = [f"--include={case}" for case in selection] + [f"--exclude={case}" for case in LEFT_OUT]
        command = [kosoku, *choice, f"--outdir={self._reports}", f"ws://127.0.0.1:{server.port}/"]
        super().__init__("cases", command, directory)

    def reports(self) -> Reports:
        """Wait for the end, and return the report on each case."""
        self.wait(100)  # the exit code is 1 if any case failed
        reports = [json.loads(file.read_text()) for file in sorted(self._reports.glob("*_case_*.json"))]
        assert reports, self.output()
        return {report["id"]: report for report in reports}


def judge(server: Server, cases: Cases, directory: Path) -> Verdicts:
    """Return the verdict on each case. A case during which a ping arrived is run once more."""
    reports = cases.reports()
    if pinged := [case for case, report in reports.items() if PING in report["rxFrameStats"]]:
        with Cases(server, directory, pinged) as again:
            reports |= again.reports()
    return {
        case: Verdict(report["behavior"], report["behaviorClose"], report["remoteCloseCode"])
        for case, report in reports.items()
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tournament.server`, echoing. Afterwards it stops with 0, and no case has caused a traceback."""
    with Server("tournament", tmp_path_factory.mktemp("conformance"), "tournament.server") as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.output()


# Groups 6 (UTF-8), 9 (size and speed) and 12 and 13 (compression) take half a minute and more.
SHORT: Final = tuple(f"{group}.*" for group in (1, 2, 3, 4, 5, 7, 10))
LONG: Final = tuple(f"{group}.*" for group in (6, 9, 12, 13))


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, ours: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Verdicts, Verdicts]:
    """The verdicts on `tournament.server` and on plain Daphne, made at the same time: most of it is waiting."""
    directory = tmp_path_factory.mktemp("conformance")
    with ExitStack() as running:
        plain = running.enter_context(Server("daphne", directory, "daphne", "-v", "0"))
        servers = (ours, plain)
        on_ours, on_plain = (running.enter_context(Cases(server, directory, request.param)) for server in servers)
        return judge(ours, on_ours, directory), judge(plain, on_plain, directory)


short = pytest.mark.parametrize("verdicts", [pytest.param(SHORT, id="short")], indirect=True)
long = pytest.param(LONG, marks=pytest.mark.soak, id="long")
all_cases = pytest.mark.parametrize("verdicts", [pytest.param(SHORT, id="short"), long], indirect=True)


@short
@pytest.mark.parametrize(
    ("group", "cases"),
    [
        pytest.param("1", 16, id="framing"),
        pytest.param("2", 11, id="pings"),
        pytest.param("3", 7, id="reserved-bits"),
        pytest.param("4", 10, id="opcodes"),
        pytest.param("5", 20, id="fragments"),
        pytest.param("7", 37, id="closing"),
        pytest.param("10", 1, id="odds-and-ends"),
    ],
)
def test_the_worker_does_as_daphne_does(verdicts: tuple[Verdicts, Verdicts], group: str, cases: int) -> None:
    """The verdict is the same in every case, or conforms if the outcome is open or Daphne fails."""
    compare(verdicts, group, cases)


@pytest.mark.parametrize("verdicts", [long], indirect=True)
@pytest.mark.parametrize(
    ("group", "cases"),
    [
        pytest.param("6", 145, id="utf-8"),
        pytest.param("9", 52, id="size-and-speed"),
        pytest.param("12", 5, id="compression"),
        pytest.param("13", 7, id="compression-options"),
    ],
)
def test_the_worker_does_as_daphne_does_in_the_long_cases(
    verdicts: tuple[Verdicts, Verdicts], group: str, cases: int
) -> None:
    """So it is in the groups that take longer."""
    compare(verdicts, group, cases)


def compare(verdicts: tuple[Verdicts, Verdicts], group: str, cases: int) -> None:
    """Compare the verdicts of one group, which has so many cases."""
    ours, plain = ({case: own[case] for case in own if case.split(".")[0] == group} for own in verdicts)
    assert len(ours) == cases
    assert ours.keys() == plain.keys()
    deviations = [
        f"{case}: {ours[case]}, on plain Daphne {plain[case]}"
        for case in ours
        if ours[case] != plain[case] and not (case in RACES | EMPTY_MESSAGES and ours[case].conforms)
    ]
    assert not deviations, "\n".join(deviations)


@all_cases
def test_the_worker_fails_no_case_that_daphne_passes(verdicts: tuple[Verdicts, Verdicts]) -> None:
    """Daphne fails the cases that want an empty message echoed, and `tournament.server` fails no others."""
    ours, plain = ({case for case in own if not own[case].conforms} for own in verdicts)
    assert plain == EMPTY_MESSAGES & verdicts[1].keys()
    assert ours <= plain
