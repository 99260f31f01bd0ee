"""Stalled viewers: clients that complete the handshake and then read nothing."""

import socket
import time
from pathlib import Path

from testbed.viewers import handshake

TCP_ESTABLISHED = 1  # include/net/tcp_states.h


class Stalled:
    """Stalled viewers of one server, with the kernel's default receive buffers. They answer no pings.

    The server's end of a connection shows whether the server has closed it. The client's end does not show it before
    the client has read everything that was sent before.
    """

    def __init__(self, count: int, port: int, path: str) -> None:
        self._port = port
        self._open: dict[int, socket.socket] = {}  # by the client's port
        self._closed: list[socket.socket] = []
        self._start = time.monotonic()
        self.closed_after_s: list[float] = []  # one value for each connection that the server has closed
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            self._open[client.getsockname()[1]] = client
            handshake(client, port, path)

    def check(self) -> bool:
        """Record the connections that the server has closed since; return whether it has closed all of them."""
        if self._open:
            elapsed_s = time.monotonic() - self._start
            for port in self._open.keys() - established(self._port):
                self.closed_after_s.append(elapsed_s)
                self._closed.append(self._open.pop(port))
        return not self._open

    def close(self) -> None:
        """Close the clients' sockets."""
        for client in (*self._open.values(), *self._closed):
            client.close()


def established(server_port: int) -> set[int]:
    """Return the client ports of a server's connections that are established at the server's end (`/proc/net/tcp`)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.partition(":")[2], 16) == server_port and int(state, 16) == TCP_ESTABLISHED:
            found.add(int(remote.partition(":")[2], 16))
    return found
