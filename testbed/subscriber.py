"""A subscriber on a raw socket: records what was published and when it arrived, without a Redis library.

What it received is the reference for what clients receive.
"""

import re
import select
import socket
import time
from typing import NamedTuple

from clock.contract import GROUP

# The Redis channel of the ticks' group, as channels_redis names it, in the default namespace.
CHANNEL = f"clock__group__{GROUP}"

# A published message in RESP2: its channel, the length of its payload, and the payload.
_HEAD = re.compile(rb"\*3\r\n\$7\r\nmessage\r\n\$\d+\r\n([^\r]+)\r\n\$(\d+)\r\n")
_AT = re.compile(rb'"at": (\d+)')


class ReceivedTick(NamedTuple):
    """A tick: its channel, its time, and when it arrived (both in milliseconds since the Unix epoch)."""

    channel: str
    at: int
    received_ms: float


class Subscriber:
    """A connection to Redis that is subscribed to some channels."""

    def __init__(self, port: int, *channels: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"SUBSCRIBE {' '.join(channels)}\r\n".encode())
        self._buffer = b""

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def read(self) -> list[ReceivedTick]:
        """Return the ticks that have arrived. If there is no data, wait for some.

        Raises:
            ConnectionError: Redis closed the connection.
        """
        data = self.socket.recv(1 << 16)
        received_ms = time.time() * 1000
        if not data:
            raise ConnectionError("Redis closed the connection")
        self._buffer += data
        ticks = []
        while head := _HEAD.search(self._buffer):
            end = head.end() + int(head[2])
            if len(self._buffer) < end + 2:
                break
            if at := _AT.search(self._buffer, head.end(), end):
                ticks.append(ReceivedTick(head[1].decode(), int(at[1]), received_ms))
            self._buffer = self._buffer[end + 2 :]
        return ticks


class Published:
    """The times of all ticks since the start, as a subscriber of its own receives them.

    Call `receive` at least every 10 s: Redis disconnects a subscriber that does not read.
    """

    def __init__(self, redis_port: int) -> None:
        self._subscriber = Subscriber(redis_port, CHANNEL)
        self._times: set[int] = set()

    def close(self) -> None:
        """Disconnect from Redis."""
        self._subscriber.close()

    def receive(self, seconds: float = 0) -> None:
        """Receive ticks for so many seconds; without an argument, those that have arrived."""
        deadline = time.monotonic() + seconds
        while select.select([self._subscriber.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._times.update(tick.at for tick in self._subscriber.read())
            if time.monotonic() >= deadline:
                break

    def count(self, from_ms: int, to_ms: int) -> int:
        """Return the number of ticks with from_ms <= at < to_ms (milliseconds since the Unix epoch)."""
        return sum(from_ms <= at < to_ms for at in self._times)


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
