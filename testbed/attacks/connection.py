"""Connections that end early: each gets as far as its stage, and ends there in its own way."""

import contextlib
import random
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple

from testbed.viewers import PING, PONG

# Seconds: a worker ends a request or a connection without one (CLOCK_REQUEST_TIMEOUT, CLOCK_IDLE_TIMEOUT), and a viewer
# that answers no ping (an interval, a timeout and a turn of the heartbeat).
REQUEST_DEADLINE: Final = 10.0
VIEWER_DEADLINE: Final = 12.2
CLOSE_DEADLINE: Final = 1.0  # a client that has said that it closes

# Seconds that an answer may take; that a client which has ended keeps its socket at most; and by which a busy machine
# may be late with a deadline: the heartbeat counts turns.
ANSWER_LIMIT: Final = 10.0
LINGER_LIMIT: Final = 3.0
ALLOWANCE: Final = 5.0

# What a connection that only waits for its end is told by: the other side has closed or reset it.
OVER: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class End(StrEnum):
    """How a client ends its connection. Silence leaves that to the worker."""

    FIN = "FIN"
    RST = "RST"
    SILENCE = "silence"


class State(Enum):
    """How far a connection is."""

    OPENING = auto()
    STAYING = auto()  # at its stage, before its end
    SILENT = auto()  # until the worker ends it
    ENDED = auto()  # as far as client and worker are concerned, but the socket is still open
    CLOSED = auto()


class Stage(NamedTuple):
    """How far a client gets."""

    name: str
    opening: bytes = b""  # what it sends at first
    reached: Callable[[bytes], bool] = lambda _answer: True  # whether an answer is what it waits for
    last: bytes = b""  # what it still sends when it ends
    deadline: float = REQUEST_DEADLINE
    encrypted: bool = False  # whether `opening` goes over TLS


class Plan(NamedTuple):
    """What one client does."""

    stage: Stage
    end: End
    path: str
    stay: float = 0.0  # seconds at its stage

    def opening(self, port: int) -> bytes:
        """Return what the client sends at first to a worker on this port."""
        opening = self.stage.opening
        if b"%(path)s" not in opening:  # none of it is HTTP
            return opening
        return opening % {b"path": self.path.encode(), b"host": f"127.0.0.1:{port}".encode()}


PAGES: Final = ("/clock/", "/clock/now", "/clock/embed", "/", "/healthz")
STREAMS: Final = ("/ws/clock/?rate=100", "/ws/clock/?rate=10")

_GET: Final = b"GET %(path)s HTTP/1.1\r\nHost: %(host)s\r\n"
_UPGRADE: Final = (
    _GET + b"Origin: http://%(host)s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def has_answer(answer: bytes) -> bool:
    """Return whether a handshake has been answered."""
    return b"\r\n\r\n" in answer


def has_frame(answer: bytes) -> bool:
    """Return whether the first frame has begun to come."""
    return bool(answer.partition(b"\r\n\r\n")[2])


# Masked by zeros: half a pong, and a close frame with the code 1000.
FIRST_FRAME: Final = Stage("first frame", _UPGRADE, has_frame, deadline=VIEWER_DEADLINE)
HALF_A_FRAME: Final = FIRST_FRAME._replace(name="half a frame", last=bytes((PONG, 0x84, 0, 0)))
CLOSE_FRAME: Final = FIRST_FRAME._replace(
    name="close frame", last=bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8)), deadline=CLOSE_DEADLINE
)
STAGES: Final = (
    Stage("TCP"),
    Stage("partial headers", _GET + b"X-Part"),
    Stage("request", _GET + b"\r\n"),
    Stage("handshake", _UPGRADE, deadline=VIEWER_DEADLINE),
    Stage("101", _UPGRADE, has_answer, deadline=VIEWER_DEADLINE),
    FIRST_FRAME,
    HALF_A_FRAME,
    CLOSE_FRAME,
)


def client_hello() -> bytes:
    """Return the first message of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def tls_stages() -> tuple[Stage, ...]:
    """Return the stages of a connection over TLS."""
    hello = client_hello()
    return (
        Stage("TCP"),
        Stage("part of the TLS hello", hello[: len(hello) // 2]),
        Stage("TLS hello", hello),
        Stage("TLS hello answered", hello, bool),
        Stage("TLS handshake", encrypted=True),
        *(stage._replace(name=f"{stage.name} over TLS", encrypted=True) for stage in STAGES[1:]),
    )


def plans(count: int, seed: int, stages: Sequence[Stage], ends: Sequence[End]) -> Iterator[Plan]:
    """Yield so many plans: first each stage with each end, then what chance makes of the seed.

    Most end by a reset, and one of ten in silence, because that one is held for seconds.
    """
    chance = random.Random(seed)
    weights = [{End.RST: 6, End.FIN: 3, End.SILENCE: 1}[end] for end in ends]
    each = [(stage, end) for stage in stages for end in ends]
    for number in range(count):
        if number < len(each):
            stage, end = each[number]
        else:
            stage, end = chance.choice(stages), *chance.choices(ends, weights)
        paths = STREAMS if b"Upgrade" in stage.opening else PAGES
        yield Plan(stage, end, chance.choice(paths))


class Connection:
    """One client. It connects at once; `on_event` and `pass_time` take it further."""

    def __init__(self, plan: Plan, port: int, epoll: select.epoll, context: ssl.SSLContext | None = None) -> None:
        self.plan = plan
        self.failure = ""
        self.state = State.OPENING
        self.since = self.began = time.monotonic()  # of its state, and of its time at its stage
        self._epoll = epoll
        self._answer = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT)
        try:
            if plan.stage.encrypted:
                assert context is not None
                self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
            self.socket.setblocking(False)
            epoll.register(self.socket, select.EPOLLIN)
            self.socket.send(plan.opening(port))
        except BaseException:
            self.socket.close()
            raise
        if plan.stage.reached(b""):
            self.end()

    @property
    def is_live(self) -> bool:
        """Whether the worker has a reason to keep it."""
        return self.state in {State.OPENING, State.STAYING, State.SILENT}

    def on_event(self) -> None:
        """Go on, for something has come, or the connection is over."""
        if self.state == State.SILENT:
            self._enter(State.ENDED)  # and still without a word
            self._epoll.modify(self.socket, select.EPOLLHUP | select.EPOLLERR)
            return
        if self.state == State.ENDED and self.plan.end == End.SILENCE:
            self.close()
            return
        try:
            while data := self.socket.recv(1 << 16):
                self._take(data)
                # Of TLS there may be more here, of which the kernel does not tell.
                if self.state in {State.SILENT, State.CLOSED} or not self.plan.stage.encrypted:
                    return
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            reason = repr(error)
        else:
            reason = "closed"
        if self.state == State.ENDED:
            self.close()
        else:
            self._fail(f"ended by the worker: {reason}")

    def _take(self, data: bytes) -> None:
        if self.state == State.OPENING:
            self._answer += data
            if self.plan.stage.reached(self._answer):
                if b"Upgrade" in self.plan.stage.opening and not self._answer.startswith(b"HTTP/1.1 101 "):
                    self._fail("refused")
                elif self.plan.stay:
                    self._enter(State.STAYING)
                    self._answer_pings(b"")  # one may have come before the first frame
                else:
                    self.end()
        elif self.state == State.STAYING:
            self._answer_pings(data)

    def _answer_pings(self, data: bytes) -> None:
        # Texts are ASCII, so this byte begins a ping; and a ping's payload is four bytes.
        self._answer = (self._answer + data)[-1 << 12 :]
        while (start := self._answer.find(PING)) >= 0 and len(self._answer) >= start + 6:
            with contextlib.suppress(OSError):
                self.socket.send(bytes((PONG, 0x84, 0, 0, 0, 0)) + self._answer[start + 2 : start + 6])
            self._answer = self._answer[start + 6 :]
        if start < 0:
            self._answer = b""

    def end(self) -> None:
        """End it, in its own way."""
        with contextlib.suppress(OSError):
            if self.plan.stage.last:
                self.socket.send(self.plan.stage.last)
        if self.plan.end == End.RST:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()
        elif self.plan.end == End.FIN:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self._enter(State.ENDED)
        else:
            self._enter(State.SILENT)
            self._epoll.modify(self.socket, OVER)

    def pass_time(self, now: float) -> None:
        """End what has stayed for its time, and give up what takes too long."""
        waited = now - self.since
        if self.state == State.STAYING and waited >= self.plan.stay:
            self.end()
        elif self.state == State.OPENING and waited > ANSWER_LIMIT:
            self._fail("not answered")
        elif self.state == State.SILENT and waited > self.plan.stage.deadline + ALLOWANCE:
            self._fail(f"held for {waited:.1f} s, though it is silent")
        elif self.state == State.ENDED and waited > LINGER_LIMIT:
            if self.plan.end == End.FIN:
                self._fail(f"still open {waited:.1f} s after its FIN")
            else:
                self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self.state != State.CLOSED:
            self._enter(State.CLOSED)
            self.socket.close()

    def _fail(self, failure: str) -> None:
        self.failure = f"{self.plan.stage.name}, {self.plan.end}, {self.plan.path}: {failure}"
        self.close()

    def _enter(self, state: State) -> None:
        self.state, self.since = state, time.monotonic()
