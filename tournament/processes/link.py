"""The link between the supervisor and one of its workers: a pair of connected Unix sockets.

The supervisor sends messages of one byte: an accepted connection, whose descriptor goes along (SCM_RIGHTS), or the
request to drain. The worker sends reports. Neither side ever waits for the other.

The supervisor keeps the worker's end open, too. So it can take back the connections that a worker has not received,
because it stands still or has died: no client notices.
"""

import socket
import struct
from typing import Final, NamedTuple

# The messages of the supervisor.
CONNECTION: Final = b"c"
DRAIN: Final = b"d"

_REPORT: Final = struct.Struct("!IQ??")

# Bytes of reports that are read at once. A worker sends less in a second.
_READ_BYTES: Final = 4096


class Report(NamedTuple):
    """What a worker says of itself."""

    viewers: int  # WebSockets, and connections on which nothing has been requested yet
    received: int  # connections from the supervisor, since the worker started
    is_ready: bool  # as /readyz says
    is_open: bool  # whether it takes connections at all


def open_link() -> tuple[socket.socket, socket.socket]:
    """Return the supervisor's end and the worker's."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setblocking(False)
    return ends


def send_connection(link: socket.socket, connection: socket.socket) -> None:
    """Send a connection. The sender still has to close its own descriptor.

    Raises:
        OSError: there is no room for it now, or the sending side has been shut down.
    """
    socket.send_fds(link, [CONNECTION], [connection.fileno()])


class Message(NamedTuple):
    """A message of the supervisor. Its kind is empty when no more will come."""

    kind: bytes
    connection: socket.socket | None  # missing if the receiver had no descriptor left for it


def receive(link: socket.socket) -> Message:
    """Receive the next message.

    Raises:
        BlockingIOError: there is none yet.
        OSError: the link is broken.
    """
    kind, descriptors, _, _ = socket.recv_fds(link, 1, 1)
    return Message(kind, socket.socket(fileno=descriptors[0]) if descriptors else None)


class ReportWriter:
    """Sends reports. If the supervisor does not read them, further ones are dropped."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._unsent = b""  # the rest of a report that was sent in part

    def write(self, report: Report) -> None:
        """Send a report.

        Raises:
            OSError: the supervisor has ended.
        """
        data = self._unsent or _REPORT.pack(*report)
        try:
            self._unsent = data[self._link.send(data) :]
        except BlockingIOError:
            self._unsent = data if self._unsent else b""


class ReportReader:
    """Receives reports."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._received = b""

    def read(self) -> Report | None:
        """Return the newest report; None if there is no new one."""
        try:
            self._received += self._link.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        whole = len(self._received) // _REPORT.size * _REPORT.size
        if not whole:
            return None
        newest, self._received = self._received[:whole], self._received[whole:]
        return Report(*_REPORT.unpack_from(newest, whole - _REPORT.size))
