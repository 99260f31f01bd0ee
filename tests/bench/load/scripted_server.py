"""A server that treats its only client as a script says: what the load generator must count is known in advance."""

import contextlib
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Self

from clock.contract import TICK_MS

TIMEOUT_S = 5.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
MASK = b"\x01\x02\x03\x04"


def tick(at: int, first_byte: int = 0x81) -> bytes:
    """Return a tick's frame."""
    payload = b'{"message": "2026-11-22 12:48:00.12", "at": %d}' % at
    return bytes((first_byte, len(payload))) + payload


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Apply or remove a mask (RFC 6455, section 5.3)."""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def masked(frame: bytes) -> bytes:
    """Return a frame in the form that only a client may send."""
    return bytes((frame[0], frame[1] | 0x80)) + MASK + unmasked(frame[2:], MASK)


def newest_tick() -> int:
    """Return the time of the last tick that is due."""
    return time.time_ns() // 1_000_000 // TICK_MS * TICK_MS


def handshake_answer(request: bytes) -> bytes:
    """Return the correct answer to a handshake."""
    key = re.search(rb"Sec-WebSocket-Key: *(\S+)", request, re.IGNORECASE)
    assert key
    accept = b64encode(sha1(key[1] + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )


class ScriptedServer:
    """A server for one client. The script may wait for `window_open`, which the test sets.

    Enter it after the load generator has started: a process that has threads should start no other.
    """

    def __init__(self, script: Callable[[socket.socket, threading.Event], None]) -> None:
        self.window_open = threading.Event()
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with self._listener:
            client, _ = self._listener.accept()
        with contextlib.closing(client) as self._client:
            self._client.settimeout(TIMEOUT_S)
            with contextlib.suppress(OSError):
                self._script(self._client, self.window_open)
            self._finished.set()
            with contextlib.suppress(OSError):
                while self._client.recv(4096):
                    pass

    def wait(self) -> None:
        """Wait until the script has finished and the client has received what it sent."""
        assert self._finished.wait(2 * TIMEOUT_S)
        time.sleep(0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(2 * TIMEOUT_S)
        self._listener.close()
