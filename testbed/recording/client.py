"""A client of the clock that records what it receives and reconnects as the page does."""

import os
import random
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from clock.contract import CLOSE_GOING_AWAY
from testbed.recording.record import NS_PER_S, Frame, Visit
from testbed.viewers import PING, PONG, TEXT, upgrade_request

CLOSE = 0x88  # the first byte of a close frame (RFC 6455, section 5.2)

LOCALHOST: Sequence[str] = ("127.0.0.1",)

# The delay before a client reconnects doubles from the first to the last, with jitter, as in the page
# (clock/static/clock/time/stream.js).
FIRST_DELAY_S, LAST_DELAY_S = 0.25, 15.0

# After so many seconds of frames the delay is the first again.
STABLE_AFTER_S = 5.0

# A connection without data is closed after so many seconds, and the client reconnects after about so many.
SILENCE_TIMEOUT_S, SILENCE_DELAY_S = 5.0, 2.0


class Client:
    """One client. It never blocks: call `on_ready` when its socket is ready, and `check_time` regularly."""

    def __init__(
        self,
        ports: Sequence[int],
        selector: selectors.BaseSelector,
        *,
        rate: int = 100,
        reconnects: bool = False,
        answers_pings: bool = True,
    ) -> None:
        self.visits: list[Visit] = []
        self.ports = ports
        self.addresses = LOCALHOST
        self._selector = selector
        self._path = f"/ws/clock/?rate={rate}"
        self._reconnects = reconnects
        self._answers_pings = answers_pings
        self._socket: socket.socket | None = None
        self._port = 0
        self._buffer = b""
        self._next: Callable[[int], None] = self._send_handshake
        self._delay_s = FIRST_DELAY_S
        self._connect_at: float | None = None
        self._last_data = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is connected and the handshake is done."""
        return self._socket is not None and bool(self.visits) and self.visits[-1].closed_ns is None

    def connect(self) -> None:
        """Begin to connect to one of the ports at one of the addresses, at random."""
        self._connect_at, self._last_data = None, time.monotonic()
        self._port = random.choice(self.ports)
        self._buffer, self._next = b"", self._send_handshake
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex((random.choice(self.addresses), self._port))
        self._selector.register(self._socket, selectors.EVENT_WRITE, self.on_ready)

    def disconnect(self) -> None:
        """Close the connection, if there is one, without a close frame."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def check_time(self) -> None:
        """Reconnect when the delay is over; give up a connection that is silent for too long."""
        now = time.monotonic()
        if self._connect_at is not None and now >= self._connect_at:
            self.connect()
        elif self._reconnects and self._socket is not None and now - self._last_data > SILENCE_TIMEOUT_S:
            self._end(None)
            self._connect_at = now + _with_jitter(SILENCE_DELAY_S)

    def on_ready(self, ready_ns: int) -> None:
        """Do the next step, now that the socket is ready. `ready_ns` is when this was last possible."""
        try:
            self._next(ready_ns)
        except OSError:
            self._end(None)

    def _send_handshake(self, _ready_ns: int) -> None:
        assert self._socket is not None
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self._socket.send(upgrade_request(self._port, self._path))
        self._next = self._read_answer
        self._selector.modify(self._socket, selectors.EVENT_READ, self.on_ready)

    def _read(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError
        self._buffer += data
        self._last_data = time.monotonic()

    def _read_answer(self, ready_ns: int) -> None:
        self._read()
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 ") and len(self._buffer) > len(b"HTTP/1.1 101 "):
            raise ConnectionError
        if end:
            self.visits.append(Visit(self._port, time.monotonic_ns()))
            self._buffer, self._next = rest, self._read_frames
            self._parse(ready_ns)

    def _read_frames(self, ready_ns: int) -> None:
        self._read()
        self._parse(ready_ns)

    def _parse(self, ready_ns: int) -> None:
        arrived_ns = time.monotonic_ns()
        buffer, start, visit = self._buffer, 0, self.visits[-1]
        while len(buffer) - start >= 2 and len(buffer) >= (end := start + 2 + buffer[start + 1]):
            opcode = buffer[start]
            if opcode == TEXT:
                # `at` is the last field of a frame (clock/contract.py).
                at = int(buffer[buffer.rindex(b" ", start, end) : end - 1])
                visit.frames.append(Frame(at, ready_ns, arrived_ns))
            elif opcode == PING and self._answers_pings:
                self._send(PONG, buffer[start + 2 : end])
            elif opcode == CLOSE:
                self._send(CLOSE, buffer[start + 2 : start + 4])
                self._end(int.from_bytes(buffer[start + 2 : start + 4], "big"))
                return
            start = end
        self._buffer = buffer[start:]

    def _send(self, opcode: int, payload: bytes) -> None:
        """Send a frame. Its mask is of zeros, which leaves the payload unchanged."""
        assert self._socket is not None
        self._socket.send(bytes((opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload)

    def _end(self, close_code: int | None) -> None:
        """Record the end of the connection, if its handshake was done, and schedule the next one."""
        was_stable = False
        if self.is_open:
            visit = self.visits[-1]
            visit.closed_ns, visit.close_code = time.monotonic_ns(), close_code
            frames = visit.frames
            was_stable = bool(frames) and frames[-1].arrived_ns - frames[0].arrived_ns > STABLE_AFTER_S * NS_PER_S
        self.disconnect()
        if was_stable:
            self._delay_s = FIRST_DELAY_S
        if self._reconnects:
            at_once = close_code == CLOSE_GOING_AWAY
            self._connect_at = time.monotonic() + (0 if at_once else _with_jitter(self._delay_s))
            if not at_once:
                self._delay_s = min(self._delay_s * 2, LAST_DELAY_S)


def _with_jitter(delay_s: float) -> float:
    return delay_s * (0.5 + random.random() / 2)
