"""Many subscribers of one or more Redis servers, so cheap that they are not the bottleneck: one loop reads them all."""

import select
import socket
from collections.abc import Sequence
from typing import Final, Self

from testbed.subscriber import CHANNEL

TIMEOUT_S: Final = 30.0

_SUBSCRIBED: Final = b"$9\r\nsubscribe\r\n"
_MESSAGE: Final = b"$7\r\nmessage\r\n"


class Subscribers:
    """Connections that are subscribed to the ticks, evenly to the servers on these ports."""

    def __init__(self, ports: Sequence[int], count: int) -> None:
        self.received_bytes = 0
        self._epoll = select.epoll()
        self._sockets = {}
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", ports[number % len(ports)]))
            connection.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)
        self._read(count, _SUBSCRIBED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for connection in self._sockets.values():
            connection.close()

    def read(self, ticks: int) -> None:
        """Receive so many ticks on each connection on average.

        Raises:
            ConnectionError: Redis closed a connection.
            TimeoutError: nothing has arrived for half a minute.
        """
        self._read(ticks * len(self._sockets), _MESSAGE)

    def _read(self, count: int, marker: bytes) -> None:
        while count > 0:
            events = self._epoll.poll(TIMEOUT_S)
            if not events:
                raise TimeoutError(f"{count:,} messages are missing")
            for number, _ in events:
                data = self._sockets[number].recv(1 << 16)
                if not data:
                    raise ConnectionError("Redis closed a connection")
                self.received_bytes += len(data)
                count -= data.count(marker)


class Askers:
    """Connections that ask Redis for the time, as a worker does once a second to compare clocks."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    def ask(self) -> None:
        """Ask once on each connection, one after the other."""
        for connection in self._sockets:
            connection.sendall(b"TIME\r\n")
            assert connection.recv(256)
