"""Clients that never read again after their handshake, and what becomes of them."""

import socket
import time
from pathlib import Path

from testbed.viewers import handshake

ESTABLISHED = 1  # include/net/tcp_states.h


class Stalled:
    """So many of them, with the kernel's default receive buffers. They answer no ping.

    Whether the server has closed one is told by the server's end of the connection: the client's own would not show it
    before it had read all that came before.
    """

    def __init__(self, count: int, port: int, path: str) -> None:
        self._port = port
        self._open: dict[int, socket.socket] = {}  # by the client's port
        self._closed: list[socket.socket] = []
        self._since = time.monotonic()
        self.count = count
        self.closed_after_s: list[float] = []  # seconds, one for each that the server has closed
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            self._open[client.getsockname()[1]] = client
            handshake(client, port, path)

    def look(self) -> bool:
        """Note which have been closed since; return whether all have been."""
        if self._open:
            after = time.monotonic() - self._since
            alive = established(self._port)
            for port in self._open.keys() - alive:
                self.closed_after_s.append(after)
                self._closed.append(self._open.pop(port))
        return not self._open

    def hang_up(self) -> None:
        """Close what is left."""
        for client in (*self._open.values(), *self._closed):
            client.close()


def established(server_port: int) -> set[int]:
    """Return the clients' ports of a server's connections that are established on its side (proc(5), net/tcp)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.partition(":")[2], 16) == server_port and int(state, 16) == ESTABLISHED:
            found.add(int(remote.partition(":")[2], 16))
    return found
