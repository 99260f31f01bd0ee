"""Many subscribers of one or more Redis servers, so cheap that they are not the bottleneck: one loop reads them all."""

import re
import select
import socket
import time
from collections.abc import Sequence
from typing import Final, Self

from testbed.subscriber import CHANNEL

# After so many sockets the loop reads the clock again.
BATCH: Final = 64

_MESSAGE: Final = b"$7\r\nmessage\r\n"
_AT: Final = re.compile(rb'"at": (\d+)')


class Subscribers:
    """Connections that are subscribed to the ticks, and the lateness of what they have received."""

    def __init__(self, ports: Sequence[int], count: int) -> None:
        self.messages = self.received_bytes = 0
        self._lateness: list[tuple[float, int]] = []  # (ms, sockets that were read at the same time)
        self._epoll = select.epoll()
        self._sockets = {}
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", ports[number % len(ports)]))
            connection.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for connection in self._sockets.values():
            connection.close()

    def read(self, seconds: float) -> None:
        """Receive ticks for so many seconds, and forget those that were received before.

        Raises:
            ConnectionError: Redis closed a connection.
        """
        self.messages, self.received_bytes, self._lateness = 0, 0, []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            data = b""
            events = self._epoll.poll(left, BATCH)
            for number, _ in events:
                data = self._sockets[number].recv(1 << 16)
                if not data:
                    raise ConnectionError("Redis closed a connection")
                self.messages += data.count(_MESSAGE)
                self.received_bytes += len(data)
            if events and (found := _AT.search(data)):  # all have the same tick, but for a few
                self._lateness.append((time.time() * 1000 - int(found[1]), len(events)))

    def percentile_ms(self, percent: float) -> float:
        """Return the lateness that `percent` of the ticks do not exceed, by nearest rank; 0 if there are none."""
        rank = sum(count for _, count in self._lateness) * percent / 100
        for late_ms, count in sorted(self._lateness):
            rank -= count
            if rank < 0:
                return late_ms
        return max((late_ms for late_ms, _ in self._lateness), default=0.0)


class Askers:
    """Connections that each ask Redis for the time once a second, as a worker does to compare clocks."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    def ask(self, seconds: int) -> None:
        """Ask for so many seconds, evenly spread."""
        start, count = time.monotonic(), len(self._sockets)
        for number in range(seconds * count):
            connection = self._sockets[number % count]
            connection.sendall(b"TIME\r\n")
            connection.recv(256)
            time.sleep(max(0.0, start + (number + 1) / count - time.monotonic()))
