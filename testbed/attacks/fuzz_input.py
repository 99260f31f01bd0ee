"""Random inputs that no client should send. Each is made from its number alone: `Input.of(number)` makes it again."""

import random
import struct
from typing import Final, NamedTuple, Self

HEADERS: Final = (
    b"Origin: http://%(host)s",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
ODD_HEADERS: Final = (
    b"Host: evil.example",
    b"Host: [",
    b"Origin: \xff",
    b"Content-Length: 5\r\n\r\nhello",
    b"Content-Length: -1",
    b"Content-Length: " + b"9" * 5_000,
    b"Content-Length: 0\r\nContent-Length: 7",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Expect: 100-continue\r\nContent-Length: 1000000",
    b"Upgrade: websocket, h2c",
    b"Upgrade: \xe4",
    b"Connection: close",
    b"Sec-WebSocket-Version: 99999999999999999999",
    b"Sec-WebSocket-Key: short",
    b"Sec-WebSocket-Protocol: \xc3\xa9, a, a",
    b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99, x; y="',
    b"Daphne-Root-Path: \xe4",
    b"Daphne-Root-Path: /%ff%00",
    b"X-Forwarded-For: \xff, 1.2.3, ::, unknown",
    b"Cookie: =;=;;a",
    b"X-" + b"x" * 20_000 + b": 1",
    b"X: " + b"x" * 70_000,
    b"\r\n".join(b"X: %d" % number for number in range(700)),
    b" folded",
    b": nameless",
    b"no colon",
    b"X:\0",
    b"X:\x0b\x85",
)
METHODS: Final = (b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"TRACE", b"G\xe4T", b"", b"get", b"X" * 3_000)
PATHS: Final = (b"/", b"/clock/", b"/clock/now", b"/ws/clock/", b"/healthz", b"/static/clock/../../manage.py", b"*",
                b"//", b"/%00", b"/%ff", b"/\xe4", b"http://evil.example/", b"/ws/clock/?rate=" + b"9" * 5_000,
                b"/ws/clock/?\xff", b"/" + b"a" * 20_000)  # fmt: skip
VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"", b"SPDY")


class Input(NamedTuple):
    """What one client sends."""

    kind: str
    opening: bytes  # sent at once
    frames: bytes | None = None  # sent after the answer to its handshake; None: that answer is the end
    is_refused: bool = False  # whether the worker must close it with 4008

    @classmethod
    def of(cls, number: int) -> Self:
        """Make the input with a number."""
        chance = random.Random(number)
        kind = chance.choice((_request, _request, _mutated, _noise, _message, _message, _control, _stream, _eager))
        return cls(kind.__name__.strip("_"), *kind(chance))


def _handshake() -> bytes:
    return b"\r\n".join((b"GET /ws/clock/ HTTP/1.1", b"Host: %(host)s", *HEADERS, b"", b""))


def _frame(chance: random.Random, opcode: int, payload: bytes) -> bytes:
    """Return a valid frame, masked (RFC 6455, section 5.2)."""
    length = len(payload)
    size = (
        bytes((0x80 | length,))
        if length < 126
        else struct.pack("!BH", 0xFE, length)
        if length < 1 << 16
        else struct.pack("!BQ", 0xFF, length)
    )
    mask = chance.randbytes(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes((0x80 | opcode,)) + size + mask + masked


def _mutate(chance: random.Random, data: bytes) -> bytes:
    """Change, remove, insert or repeat a few bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(changed) + 1)
        end = start + chance.choice((0, 1, 1, 2, 10, 100))
        changed[start:end] = chance.choice(
            (b"", chance.randbytes(1), chance.randbytes(9), bytes(changed[start:end]) * 2)
        )
    return bytes(changed)


def _request(chance: random.Random) -> tuple[bytes]:
    """Return a request of unusual parts, sometimes with another one behind it."""
    first = b" ".join(chance.choice(choices) for choices in (METHODS, PATHS, VERSIONS))
    lines = [b"Host: %(host)s", *chance.choice(((), HEADERS)), *chance.choices(ODD_HEADERS, k=chance.randint(0, 3))]
    chance.shuffle(lines)
    return (b"\r\n".join((first, *lines, b"", b"")) * chance.choice((1, 1, 1, 2, 20)),)


def _mutated(chance: random.Random) -> tuple[bytes, bytes]:
    return _mutate(chance, _handshake()), b""


def _noise(chance: random.Random) -> tuple[bytes]:
    return (chance.randbytes(chance.choice((1, 10, 100, 1_000, 30_000))),)


def _message(chance: random.Random) -> tuple[bytes, bytes, bool]:
    """Return a message, or the beginning of one, sometimes after valid control frames."""
    opcode, length = chance.choice((0, 1, 2)), chance.choice((0, 1, 125, 126, 1_000, 65_536))
    frame = _frame(chance, opcode, chance.randbytes(length))
    last = chance.choice(
        (
            frame,
            bytes((opcode,)),  # the first byte of a fragment
            bytes((opcode,)) + frame[1:],
            frame[: chance.randint(1, len(frame))],
            bytes((0x80 | opcode, 0xFF)) + struct.pack("!Q", chance.getrandbits(62)),  # longer than the memory
            frame * chance.choice((2, 3)),
        )
    )
    return _handshake(), _frame(chance, chance.choice((9, 10)), b"fine") * chance.choice((0, 0, 1, 5)) + last, True


def _control(chance: random.Random) -> tuple[bytes, bytes]:
    """Return control frames that are invalid or too many."""
    payload = chance.randbytes(chance.choice((0, 1, 2, 3, 125, 126, 5_000)))
    count = chance.choice((1, 1, 2, 19, 21, 1_000 // (1 + len(payload)) + 1))
    return _handshake(), _frame(chance, chance.randrange(8, 16), payload) * count


def _stream(chance: random.Random) -> tuple[bytes, bytes]:
    """Return random bytes in place of frames, or valid frames with mistakes."""
    frames = b"".join(_frame(chance, chance.randrange(16), chance.randbytes(chance.randrange(9))) for _ in range(9))
    return _handshake(), chance.choice((chance.randbytes(chance.randrange(1, 300)), _mutate(chance, frames)))


def _eager(chance: random.Random) -> tuple[bytes, bytes | None, bool]:
    """Return a message, or another handshake, right behind a handshake, without waiting for the answer."""
    if chance.random() < 0.5:
        return _handshake() + _frame(chance, 1, b"hello"), b"", True
    return _handshake() * 2, b"", False
