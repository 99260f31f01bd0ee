"""Viewers: any number of WebSocket clients in one loop, each on a raw socket, cheap enough not to be the bottleneck."""

import base64
import json
import os
import selectors
import socket
import time
from dataclasses import dataclass, field

# First bytes of a whole frame, RFC 6455, section 5.2.
TEXT, PING, PONG = 0x81, 0x89, 0x8A


@dataclass(eq=False)
class Viewer:
    """One client, and what it got: each frame's `at`, and when it came (milliseconds since the Unix epoch)."""

    socket: socket.socket
    times: list[int] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    buffer: bytes = b""

    def read(self) -> None:
        """Take in what has come, and answer pings."""
        data = self.socket.recv(1 << 16)
        came = time.time() * 1000
        if not data:
            raise ConnectionError("the worker has closed the connection")
        self.buffer += data
        while len(self.buffer) >= 2 and len(self.buffer) >= (end := 2 + self.buffer[1]):
            if self.buffer[0] == PING:
                # A client's frames are masked; a mask of zeros leaves the payload as it is.
                self.socket.sendall(bytes((PONG, 0x80 | self.buffer[1], 0, 0, 0, 0)) + self.buffer[2:end])
            elif self.buffer[0] == TEXT:
                self.times.append(json.loads(self.buffer[2:end])["at"])
                self.came.append(came)
            self.buffer = self.buffer[end:]


def connect(port: int, path: str = "/ws/clock/") -> Viewer:
    """Open a WebSocket from the page's own origin."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        rest = shake_hands(client, port, path)
    except BaseException:
        client.close()
        raise
    client.setblocking(False)
    return Viewer(client, buffer=rest)


def shake_hands(client: socket.socket, port: int, path: str) -> bytes:
    """Ask for the stream and return what came after the answer; anything but 101 is a `ConnectionError`."""
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
    client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = client.recv(1 << 16)
        if not chunk:
            raise ConnectionError(f"no handshake: {answer!r}")
        answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"no handshake: {head!r}")
    return rest


def watch(viewers: list[Viewer], seconds: float) -> None:
    """Let the viewers take in what comes, for so long."""
    with selectors.DefaultSelector() as selector:
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer.read)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data()
