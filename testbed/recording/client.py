"""A client of the clock that writes down what it gets, and comes back as the page does."""

import base64
import os
import random
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from clock.contract import CLOSE_GOING_AWAY
from testbed.recording.record import Frame, Visit
from testbed.viewers import PING, PONG, TEXT

CLOSE = 0x88  # RFC 6455, section 5.2

# Seconds: the pause before a client dials again doubles from the first to the last, and is drawn from its upper half
# (clock/static/clock/stream.js).
FIRST_PAUSE, LAST_PAUSE = 0.25, 15.0

# Seconds of frames after which the pause is the first again; and without a word, after which a connection is given up.
PROVEN_AFTER = 5.0
SILENT_AFTER, SILENT_PAUSE = 5.0, 2.0


class Client:
    """One client, which never waits: `on_ready` is called when its socket is, and `pass_time` now and then."""

    def __init__(
        self,
        ports: Sequence[int],
        selector: selectors.BaseSelector,
        *,
        rate: int = 100,
        comes_back: bool = False,
        answers: bool = True,
    ) -> None:
        self.visits: list[Visit] = []
        self.ports = ports
        self._selector = selector
        self._path = f"/ws/clock/?rate={rate}"
        self._comes_back = comes_back
        self._answers = answers
        self._socket: socket.socket | None = None
        self._port = 0
        self._buffer = b""
        self._take: Callable[[int], None] = self._connected
        self._pause = FIRST_PAUSE
        self._dial_at: float | None = None
        self._last_word = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is connected, and the handshake done."""
        return self._socket is not None and bool(self.visits) and self.visits[-1].closed is None

    def dial(self) -> None:
        """Begin to connect, anywhere."""
        self._dial_at, self._last_word = None, time.monotonic()
        self._port = random.choice(self.ports)
        self._buffer, self._take = b"", self._connected
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", self._port))
        self._selector.register(self._socket, selectors.EVENT_WRITE, self.on_ready)

    def hang_up(self) -> None:
        """Let go of the connection, if there is one."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def pass_time(self) -> None:
        """Dial again when the pause is over, and give up a connection that says nothing."""
        now = time.monotonic()
        if self._dial_at is not None and now >= self._dial_at:
            self.dial()
        elif self._comes_back and self._socket is not None and now - self._last_word > SILENT_AFTER:
            self._end(None)
            self._dial_at = now + _jittered(SILENT_PAUSE)

    def on_ready(self, looked: int) -> None:
        """Go on where it was. `looked` is when this was last possible."""
        try:
            self._take(looked)
        except OSError:
            self._end(None)

    def _connected(self, _looked: int) -> None:
        assert self._socket is not None
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        host = f"127.0.0.1:{self._port}"
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.send(
            f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._take = self._handshaken
        self._selector.modify(self._socket, selectors.EVENT_READ, self.on_ready)

    def _read(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError
        self._buffer += data
        self._last_word = time.monotonic()

    def _handshaken(self, looked: int) -> None:
        self._read()
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 ") and len(self._buffer) > len(b"HTTP/1.1 101 "):
            raise ConnectionError
        if end:
            self.visits.append(Visit(self._port, time.monotonic_ns()))
            self._buffer, self._take = rest, self._frames
            self._parse(looked)

    def _frames(self, looked: int) -> None:
        self._read()
        self._parse(looked)

    def _parse(self, looked: int) -> None:
        came = time.monotonic_ns()
        buffer, start, visit = self._buffer, 0, self.visits[-1]
        while len(buffer) - start >= 2 and len(buffer) >= (end := start + 2 + buffer[start + 1]):
            opcode = buffer[start]
            if opcode == TEXT:
                # `at` is what comes last (clock/contract.py).
                visit.frames.append(Frame(int(buffer[buffer.rindex(b" ", start, end) : end - 1]), looked, came))
            elif opcode == PING and self._answers:
                self._answer(PONG, buffer[start + 2 : end])
            elif opcode == CLOSE:
                self._answer(CLOSE, buffer[start + 2 : start + 4])
                self._end(int.from_bytes(buffer[start + 2 : start + 4], "big"))
                return
            start = end
        self._buffer = buffer[start:]

    def _answer(self, opcode: int, payload: bytes) -> None:
        """Send a frame: masked, by a mask of zeros, which leaves the payload as it is."""
        assert self._socket is not None
        self._socket.send(bytes((opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload)

    def _end(self, code: int | None) -> None:
        """Note the end of the connection, if it got as far as the 101, and know when to dial again."""
        proven = False
        if self.is_open:
            visit = self.visits[-1]
            visit.closed, visit.code = time.monotonic_ns(), code
            proven = bool(visit.frames) and visit.frames[-1].came - visit.frames[0].came > PROVEN_AFTER * 1e9
        self.hang_up()
        if proven:
            self._pause = FIRST_PAUSE
        if self._comes_back:
            at_once = code == CLOSE_GOING_AWAY
            self._dial_at = time.monotonic() + (0 if at_once else _jittered(self._pause))
            if not at_once:
                self._pause = min(self._pause * 2, LAST_PAUSE)


def _jittered(pause: float) -> float:
    return pause * (0.5 + random.random() / 2)
