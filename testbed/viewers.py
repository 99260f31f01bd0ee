"""Viewers: any number of WebSocket clients in one loop, each a raw socket, so that they are not the bottleneck."""

import base64
import json
import os
import selectors
import socket
import time
from dataclasses import dataclass, field

# First bytes of an unfragmented frame (RFC 6455, section 5.2).
TEXT, PING, PONG = 0x81, 0x89, 0x8A


@dataclass(eq=False)
class Viewer:
    """One viewer: the `at` of each frame it got, and when it arrived (milliseconds since the Unix epoch)."""

    socket: socket.socket
    times: list[int] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    buffer: bytes = b""

    def read(self) -> None:
        """Read frames and answer pings.

        Raises: `ConnectionError` if the worker has closed the connection.
        """
        data = self.socket.recv(1 << 16)
        came = time.time() * 1000
        if not data:
            raise ConnectionError("the worker has closed the connection")
        self.buffer += data
        while len(self.buffer) >= 2 and len(self.buffer) >= (end := 2 + self.buffer[1]):
            if self.buffer[0] == PING:
                # Clients must mask their frames; a mask of zeros leaves the payload unchanged.
                self.socket.sendall(bytes((PONG, 0x80 | self.buffer[1], 0, 0, 0, 0)) + self.buffer[2:end])
            elif self.buffer[0] == TEXT:
                self.times.append(json.loads(self.buffer[2:end])["at"])
                self.came.append(came)
            self.buffer = self.buffer[end:]


def connect(port: int, path: str = "/ws/clock/") -> Viewer:
    """Open a WebSocket, with the page's own Origin."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        rest = handshake(client, port, path)
    except BaseException:
        client.close()
        raise
    client.setblocking(False)
    return Viewer(client, buffer=rest)


def handshake(client: socket.socket, port: int, path: str) -> bytes:
    """Send an opening handshake and return what followed the answer.

    Raises: `ConnectionError` if the answer is not 101.
    """
    client.sendall(upgrade_request(port, path))
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = client.recv(1 << 16)
        if not chunk:
            raise ConnectionError(f"handshake failed: {answer!r}")
        answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"handshake failed: {head!r}")
    return rest


def upgrade_request(port: int, path: str = "/ws/clock/") -> bytes:
    """Return an opening handshake to a worker on this port."""
    host = f"127.0.0.1:{port}"
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        f"Origin: http://{host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def watch(viewers: list[Viewer], seconds: float) -> None:
    """Let the viewers read for so many seconds."""
    with selectors.DefaultSelector() as selector:
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer.read)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data()


def close(viewers: list[Viewer]) -> None:
    """Close the connections of some viewers."""
    for viewer in viewers:
        viewer.socket.close()
