"""The receiver: takes over connections that a supervisor accepted, and reports to it how this worker is.

See `tournament.processes`: the supervisor listens, and each of its workers has a link to it.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from tournament.processes.link import CONNECTION, Report, ReportWriter, receive

logger = logging.getLogger(__name__)

# Seconds between two reports.
REPORT_INTERVAL_S: Final = 0.2

# Connections that are received in one iteration of the event loop, so that a crowd of them delays no tick.
BATCH: Final = 32

# Seconds for which a connection on which nothing is requested counts as a viewer.
UNDECIDED_S: Final = 2.0


class Adopted(Protocol):
    """A connection that this worker serves."""

    @property
    def is_undecided(self) -> bool:
        """Whether it may become a WebSocket."""


class Worker(Protocol):
    """The worker, as its receiver needs it."""

    def adopt(self, connection: socket.socket) -> Adopted:
        """Serve a connection, and take the socket over."""

    def viewer_count(self) -> int:
        """Return how many WebSockets are open."""

    def is_ready(self) -> bool:
        """Return whether it should get new viewers."""

    def drain_for_supervisor(self, reason: str, *, expects_connections: bool) -> None:
        """Drain, if it does not already. `expects_connections` is whether connections may arrive meanwhile."""


class Receiver:
    """The worker's end of a link. `now` is a monotonic clock in seconds."""

    def __init__(self, link: socket.socket, worker: Worker, *, now: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._worker = worker
        self._now = now
        self._reports = ReportWriter(link)
        self._received = 0
        self._undecided: list[tuple[float, Adopted]] = []  # with the time when it was received
        self._is_open = True
        self.is_closed = False  # the supervisor sends nothing more

    @property
    def is_idle(self) -> bool:
        """Whether nothing more will come, and something was requested on all connections that have come lately."""
        self._forget_decided()
        return self.is_closed and not self._undecided

    def start(self) -> None:
        """Begin to receive, on the running event loop."""
        asyncio.get_running_loop().add_reader(self._link.fileno(), self.receive)

    def close(self) -> None:
        """Tell the supervisor to send nothing more. What it has sent already is still received."""
        self._is_open = False
        self.report()

    async def run(self) -> None:
        """Report regularly, until cancelled."""
        while True:
            self.report()
            await asyncio.sleep(REPORT_INTERVAL_S)

    def report(self) -> None:
        """Report to the supervisor."""
        self._forget_decided()
        viewers = self._worker.viewer_count() + len(self._undecided)
        report = Report(viewers, self._received, self._worker.is_ready(), self._is_open)
        try:
            self._reports.write(report)
        except OSError:
            self._end()

    def receive(self) -> None:
        """Receive what has arrived, up to a limit."""
        for _ in range(BATCH):
            try:
                message = receive(self._link)
            except BlockingIOError:
                return
            except OSError:
                self._end()
                return
            if message.kind == CONNECTION:
                self._received += 1
                if message.connection is not None:
                    self._undecided.append((self._now(), self._worker.adopt(message.connection)))
            elif message.kind:
                self._worker.drain_for_supervisor("the supervisor stops", expects_connections=True)
            else:
                self._end()
                return

    def _forget_decided(self) -> None:
        oldest = self._now() - UNDECIDED_S
        self._undecided = [pair for pair in self._undecided if pair[0] >= oldest and pair[1].is_undecided]

    def _end(self) -> None:
        """Handle that the supervisor sends nothing more: it has ended, or another worker replaces this one."""
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._worker.drain_for_supervisor("the supervisor sends no more connections", expects_connections=False)
