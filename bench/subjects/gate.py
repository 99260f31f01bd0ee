"""The gate: passes each tick on to the subjects whose turn it is. A subject that waits for its turn receives nothing.

    python -m bench.subjects.gate REDIS_PORT

It subscribes to the ticker's channel and publishes each message, unchanged, to the channels of the open subjects. Each
subject has a namespace of its own. All of them receive their ticks this way, 0.1 to 0.2 ms later than without it.
"""

import re
import socket
import sys
from collections.abc import Collection
from typing import Final

from clock.contract import GROUP
from testbed.subscriber import CHANNEL

CONTROL: Final = "bench-gate"

# A published message in RESP2: its channel, the length of its payload, and the payload.
HEAD: Final = re.compile(rb"\*3\r\n\$7\r\nmessage\r\n\$\d+\r\n([^\r]+)\r\n\$(\d+)\r\n")


def channel_of(namespace: str) -> str:
    """Return the Redis channel of the ticks in a namespace."""
    return f"{namespace}__group__{GROUP}"


def publish(channel: bytes, payload: bytes) -> bytes:
    """Return the Redis command that publishes a message."""
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(channel), channel, len(payload), payload)


class Gate:
    """What is done with each message. `open` are the channels that receive ticks."""

    def __init__(self) -> None:
        self.open: list[bytes] = []
        self._received = b""

    def commands(self, data: bytes) -> bytes:
        """Take what the subscription has received; return the commands that follow from it."""
        self._received += data
        commands = b""
        while head := HEAD.search(self._received):
            end = head.end() + int(head[2])
            if len(self._received) < end + 2:
                break
            payload, self._received = self._received[head.end() : end], self._received[end + 2 :]
            if head[1] == CONTROL.encode():
                self.open = payload.split()
            else:
                commands += b"".join(publish(channel, payload) for channel in self.open)
        return commands


class GateControl:
    """A connection to Redis that opens the gate for some namespaces and closes it for all others."""

    def __init__(self, redis_port: int) -> None:
        self._redis = socket.create_connection(("127.0.0.1", redis_port))

    def open_for(self, namespaces: Collection[str]) -> None:
        """Open it."""
        channels = " ".join(channel_of(one) for one in namespaces)
        self._redis.sendall(publish(CONTROL.encode(), channels.encode()))
        self._redis.recv(64)

    def close(self) -> None:
        """Disconnect from Redis."""
        self._redis.close()


def run(redis_port: int) -> None:
    """Pass ticks on until Redis disconnects."""
    subscription = socket.create_connection(("127.0.0.1", redis_port))
    publisher = socket.create_connection(("127.0.0.1", redis_port))
    publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    subscription.sendall(f"SUBSCRIBE {CHANNEL} {CONTROL}\r\n".encode())
    gate = Gate()
    print("open", flush=True)
    while data := subscription.recv(1 << 16):
        if commands := gate.commands(data):
            publisher.sendall(commands)
            publisher.recv(1 << 16)


if __name__ == "__main__":
    run(int(sys.argv[1]))
