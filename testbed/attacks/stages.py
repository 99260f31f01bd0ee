"""How far an aborted connection gets, and how it ends: its stage, its end, and the plans that combine them."""

import contextlib
import random
import ssl
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from testbed.viewers import PONG

# A worker ends a request or a connection without a request after so many seconds, as the tests set it up
# (CLOCK_REQUEST_TIMEOUT, CLOCK_IDLE_TIMEOUT).
REQUEST_TIMEOUT_S: Final = 10.0

# A viewer that answers no ping is disconnected after an interval, a timeout and one interval of the heartbeat's checks.
VIEWER_TIMEOUT_S: Final = 12.2

# A client that has sent a close frame is disconnected after so many seconds.
CLOSE_TIMEOUT_S: Final = 1.0


class End(StrEnum):
    """How a client ends its connection. After `SILENCE` the worker must end it."""

    FIN = "FIN"
    RST = "RST"
    SILENCE = "silence"


class Stage(NamedTuple):
    """How far a client gets."""

    name: str
    opening: bytes = b""  # what it sends first
    is_reached: Callable[[bytes], bool] = lambda _answer: True  # whether an answer is what it waits for
    last: bytes = b""  # what it sends when it ends
    timeout_s: float = REQUEST_TIMEOUT_S  # after which the worker ends it if it is silent
    encrypted: bool = False  # whether `opening` is sent over TLS


class Plan(NamedTuple):
    """What one client does."""

    stage: Stage
    end: End
    path: str
    stay_s: float = 0.0  # how long it stays at its stage

    def opening(self, port: int) -> bytes:
        """Return what the client sends first to a worker on this port."""
        opening = self.stage.opening
        if b"%(path)s" not in opening:  # not HTTP
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
    """Return whether the first byte of a frame has arrived."""
    return bool(answer.partition(b"\r\n\r\n")[2])


# Half a pong, and a close frame with the code 1000, both with a mask of zeros.
FIRST_FRAME: Final = Stage("first frame", _UPGRADE, has_frame, timeout_s=VIEWER_TIMEOUT_S)
HALF_A_FRAME: Final = FIRST_FRAME._replace(name="half a frame", last=bytes((PONG, 0x84, 0, 0)))
CLOSE_FRAME: Final = FIRST_FRAME._replace(
    name="close frame", last=bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8)), timeout_s=CLOSE_TIMEOUT_S
)
STAGES: Final = (
    Stage("TCP"),
    Stage("partial headers", _GET + b"X-Part"),
    Stage("request", _GET + b"\r\n"),
    Stage("handshake", _UPGRADE, timeout_s=VIEWER_TIMEOUT_S),
    Stage("101", _UPGRADE, has_answer, timeout_s=VIEWER_TIMEOUT_S),
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
    """Yield so many plans: each stage with each end first, then random ones from a seed.

    Most end with a reset. One of ten is silent, as the worker keeps each of those for seconds.
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
