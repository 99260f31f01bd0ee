"""Viewers: WebSocket clients on raw sockets in one loop, so cheap that they are not the bottleneck."""

import base64
import json
import os
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field

# The first byte of an unfragmented frame (RFC 6455, section 5.2).
TEXT, PING, PONG = 0x81, 0x89, 0x8A

# A close frame with the code 1000, masked by zeros.
CLOSE_1000 = bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8))


@dataclass(eq=False)
class Viewer:
    """One client, the `at` of each frame it received, and when it arrived (milliseconds since the Unix epoch)."""

    socket: socket.socket
    times: list[int] = field(default_factory=list)
    received_ms: list[float] = field(default_factory=list)
    buffer: bytes = b""

    def read(self) -> None:
        """Receive frames, and answer pings.

        Raises:
            ConnectionError: the worker closed the connection.
        """
        data = self.socket.recv(1 << 16)
        received_ms = time.time() * 1000
        if not data:
            raise ConnectionError("the worker closed the connection")
        self.buffer += data
        while len(self.buffer) >= 2 and len(self.buffer) >= (end := 2 + self.buffer[1]):
            if self.buffer[0] == PING:
                # A client must mask its frames. A mask of zeros leaves the payload unchanged.
                self.socket.sendall(bytes((PONG, 0x80 | self.buffer[1], 0, 0, 0, 0)) + self.buffer[2:end])
            elif self.buffer[0] == TEXT:
                self.times.append(json.loads(self.buffer[2:end])["at"])
                self.received_ms.append(received_ms)
            self.buffer = self.buffer[end:]


def connect(port: int, path: str = "/ws/clock/", address: str = "127.0.0.1") -> Viewer:
    """Open a stream, with the page's own origin."""
    client = socket.create_connection((address, port), timeout=10)
    try:
        rest = handshake(client, port, path)
    except BaseException:
        client.close()
        raise
    client.setblocking(False)
    return Viewer(client, buffer=rest)


def reset_on_close(client: socket.socket) -> None:
    """Have a socket's close reset the connection: it lingers for no time."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def handshake(client: socket.socket, port: int, path: str) -> bytes:
    """Request a stream; return the bytes that arrived after the answer.

    Raises:
        ConnectionError: the answer is not 101.
    """
    client.sendall(upgrade_request(port, path))
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = client.recv(1 << 16)
        if not chunk:
            raise ConnectionError(f"the handshake failed: {answer!r}")
        answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"the handshake failed: {head!r}")
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
    """Have the viewers receive frames for so many seconds."""
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
