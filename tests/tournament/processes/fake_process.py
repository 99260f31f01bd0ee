"""A worker's process without a process: its end of the link is real, and a test says what it does."""

import itertools
import signal
import socket
from dataclasses import dataclass, field

from tournament.processes.link import CONNECTION, Report, ReportWriter, receive

_PIDS = itertools.count(1)


@dataclass
class FakeProcess:
    """A process that ends at SIGKILL, and until it has reported also at SIGTERM and SIGINT, as a worker does."""

    number: int
    link: socket.socket
    pid: int = field(default_factory=lambda: next(_PIDS))
    exit_code: int | None = None
    signals: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    has_reported: bool = False

    def poll(self) -> int | None:
        """Return the exit code."""
        return self.exit_code

    def send_signal(self, sig: int) -> None:
        """Note a signal."""
        self.signals.append(sig)
        if sig == signal.SIGKILL:
            self.exit_code = -sig
        elif not self.has_reported:
            self.exit_code = 0

    def report(self, viewers: int = 0, *, is_ready: bool = True, is_open: bool = True) -> None:
        """Report to the supervisor."""
        self.has_reported = True
        ReportWriter(self.link).write(Report(viewers, len(self.connections), is_ready, is_open))

    def receive(self) -> None:
        """Receive everything that the supervisor has sent. An empty message is the end."""
        try:
            while not self.messages or self.messages[-1]:
                kind, connection = receive(self.link)
                if connection is not None:
                    self.connections.append(connection)
                if kind != CONNECTION:
                    self.messages.append(kind)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close what it has received, and its link."""
        for connection in self.connections:
            connection.close()
        self.link.close()


class FakeWorkers:
    """Starts fake processes."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []

    def start(self, number: int, far_end: socket.socket) -> FakeProcess:
        """Start one."""
        self.started.append(FakeProcess(number, far_end.dup()))
        return self.started[-1]

    @property
    def running(self) -> list[FakeProcess]:
        """Those that have not ended."""
        return [process for process in self.started if process.exit_code is None]

    def close(self) -> None:
        """Close all of their sockets."""
        for process in self.started:
            process.close()
