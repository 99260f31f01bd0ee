"""A raw subscriber: what was published, and when it came, without a library in between."""

import re
import socket
import time
from typing import NamedTuple

from clock.contract import GROUP

# The Redis channel of the ticks' group, as channels_redis names it, in the default namespace.
CHANNEL = f"clock__group__{GROUP}"

# A published message as it comes over the wire (RESP2): its channel, the length of what it carries, and then that.
_HEAD = re.compile(rb"\*3\r\n\$7\r\nmessage\r\n\$\d+\r\n([^\r]+)\r\n\$(\d+)\r\n")
_AT = re.compile(rb'"at": (\d+)')


class Heard(NamedTuple):
    """One tick: the channel it came by, its time, and when it came (milliseconds since the Unix epoch)."""

    channel: str
    at: int
    came: float


class Subscriber:
    """A connection to Redis that is subscribed to some channels."""

    def __init__(self, port: int, *channels: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"SUBSCRIBE {' '.join(channels)}\r\n".encode())
        self._buffer = b""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def read(self) -> list[Heard]:
        """Return what has come, waiting if nothing has."""
        data = self.socket.recv(1 << 16)
        came = time.time() * 1000
        if not data:
            raise ConnectionError("the broker has gone")
        self._buffer += data
        heard = []
        while head := _HEAD.search(self._buffer):
            end = head.end() + int(head[2])
            if len(self._buffer) < end + 2:
                break
            if at := _AT.search(self._buffer, head.end(), end):
                heard.append(Heard(head[1].decode(), int(at[1]), came))
            self._buffer = self._buffer[end + 2 :]
        return heard


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of the values are at or below; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
