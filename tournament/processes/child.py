"""A child: one worker process, with the supervisor's end of its link."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from clock.process.state_log import StateLog
from tournament.processes.balance import Standing
from tournament.processes.link import DRAIN, ReportReader, open_link, receive, send_connection

logger = logging.getLogger(__name__)

# Seconds without a report after which a child is killed: from its start on, and later. Nobody else can do it, because a
# health check reaches any child. Viewers of a worker that stands still give up after five seconds.
START_TIMEOUT_S: Final = 60.0
SILENCE_TIMEOUT_S: Final = 15.0


class Process(Protocol):
    """A process, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send a signal. No effect if it has ended."""


# The states of a child, as its log distinguishes them.
REPORTS, SILENT, KILLED = "reports", "silent", "killed"

# Starts a worker: for the child of this number, with this end of its link.
Start = Callable[[int, socket.socket], Process]


class Child:
    """One worker process. `number` counts from 1: a child that replaces another has the same."""

    def __init__(self, number: int, start: Start) -> None:
        self.number = number
        self.standing = Standing()
        self.exit_code: int | None = None  # None while it runs
        self._link, self._far_end = open_link()
        self._reports = ReportReader(self._link)
        self._log = StateLog(logger)
        self._log.logged = REPORTS  # at first nothing is wrong
        self._has_been_ready = False
        self._must_drain = False  # and has not been told so yet
        try:
            self._process = start(number, self._far_end)
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        return f"worker {self.number} (process {self._process.pid})"

    def check(self) -> None:
        """Read what it has reported, and see whether it still runs. A child that is silent for too long is killed."""
        self.exit_code = self._process.poll()
        self.standing.check()
        if self._must_drain:
            self._send_drain()
        if report := self._reports.read():
            self.standing.record(report)
            self._log.enter(REPORTS, logging.INFO, f"{self} reports again")
            if report.is_ready and not self._has_been_ready:
                self._has_been_ready = True
                logger.info("%s is ready", self)
            if not report.is_open and not self.standing.is_retired:
                self.retire()
        elif self.exit_code is not None:
            return
        elif self.standing.silent_s >= (SILENCE_TIMEOUT_S if self.standing.report else START_TIMEOUT_S):
            self._log.enter(KILLED, logging.ERROR, f"{self} has not reported for too long: killing it")
            self._process.send_signal(signal.SIGKILL)
        elif self.standing.is_silent:
            self._log.enter(SILENT, logging.WARNING, f"{self} does not report: it gets no connections")

    def send(self, connection: socket.socket, turn: int) -> bool:
        """Send it a connection, as the `turn`-th of all; or return False if that is not possible now."""
        try:
            send_connection(self._link, connection)
        except OSError:
            return False
        self.standing.sent += 1
        self.standing.last_turn = turn
        return True

    def take_back(self) -> list[socket.socket]:
        """Return the connections that it has been sent and has not received."""
        taken = []
        is_told_to_drain = False
        with contextlib.suppress(OSError):
            while (message := receive(self._far_end)).kind:
                if message.kind == DRAIN:
                    is_told_to_drain = True
                    continue
                self.standing.sent -= 1
                if message.connection is not None:
                    taken.append(message.connection)
        if is_told_to_drain:
            self.drain()
        return taken

    def drain(self) -> None:
        """Tell it to drain, because all of them end. It still gets connections, until it says that it takes no more."""
        if self.standing.report is None:
            self._process.send_signal(signal.SIGTERM)  # it has no viewers: while it starts, it exits at once
        else:
            # Not a signal: whoever stops all processes at once sends one as well, and a second one hurries a drain.
            self._must_drain = True
            self._send_drain()

    def _send_drain(self) -> None:
        with contextlib.suppress(OSError):  # the link is full: the next check tries again
            self._link.send(DRAIN)
            self._must_drain = False

    def retire(self) -> None:
        """Send it nothing more, and tell it so. Then it drains, if it does not already."""
        self.standing.is_retired = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def hurry(self) -> None:
        """Have it drain fast."""
        self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Close the link."""
        self._link.close()
        self._far_end.close()


def start_worker(arguments: Sequence[str], metrics_port: int, number: int, far_end: socket.socket) -> Process:
    """Start a worker with the arguments of its command line. If there are metrics, each worker has a port of its own.

    It gets no signals from the terminal: those are for the supervisor.
    """
    environment = dict(os.environ)
    if metrics_port:
        environment["CLOCK_METRICS_PORT"] = str(metrics_port + number - 1)
    link = str(far_end.fileno())
    return subprocess.Popen(
        [sys.executable, "-m", "tournament.server", "--connections-from", link, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=(far_end.fileno(),),
        start_new_session=True,
    )
