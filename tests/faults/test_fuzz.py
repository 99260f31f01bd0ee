"""Ten thousand inputs that no client should send, on real sockets: each ends soon, and nobody else notices.

Each input is made from its number alone, which is told where one fails: `Input.of(number)` makes it again.
"""

import contextlib
import random
import re
import selectors
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import pytest

from clock.contract import TICK_MS
from testbed.accounting import open_files, resident_mib, waited_s
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.published import Published
from testbed.viewers import Viewer, connect

INPUTS: Final = 10_000
WARM_UP: Final = 3_000  # inputs after which memory is what it will stay at
RATE: Final = 250  # inputs a second

# Seconds: what is promised, and what a busy machine may add.
LIMIT: Final = 1.0
ALLOWANCE: Final = 0.5

# Seconds without an answer after which a client has no more to send: it may have sent half a request.
PATIENCE: Final = 0.3

# Seconds for the answer to a good handshake, on a machine that is busy with all the others.
ANSWER_LIMIT: Final = 10

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

STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-4]\d\d) ")  # a 500 would be an error of ours
REFUSED: Final = b"\x0f\xa8a client sends nothing"  # the code, 4008, and the reason


class Input(NamedTuple):
    """What one client sends."""

    kind: str
    opening: bytes  # at once
    frames: bytes | None = None  # when its handshake has been answered; None: that ends it
    is_refused: bool = False  # whether a message is what ends it, and not that the client has no more to send

    @classmethod
    def of(cls, number: int) -> Self:
        """Make the input of a number."""
        chance = random.Random(number)
        kind = chance.choice((_request, _request, _mutated, _noise, _message, _message, _control, _stream, _eager))
        return cls(kind.__name__.strip("_"), *kind(chance))


def _handshake() -> bytes:
    return b"\r\n".join((b"GET /ws/clock/ HTTP/1.1", b"Host: %(host)s", *HEADERS, b"", b""))


def _frame(chance: random.Random, opcode: int, payload: bytes) -> bytes:
    """Return a good frame: whole, masked, RFC 6455, section 5.2."""
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
    """Change a few bytes, leave some out, put some in, or repeat some."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(changed) + 1)
        end = start + chance.choice((0, 1, 1, 2, 10, 100))
        changed[start:end] = chance.choice(
            (b"", chance.randbytes(1), chance.randbytes(9), bytes(changed[start:end]) * 2)
        )
    return bytes(changed)


def _request(chance: random.Random) -> tuple[bytes]:
    """A request that is put together of odd parts, and sometimes another behind it."""
    first = b" ".join(chance.choice(choices) for choices in (METHODS, PATHS, VERSIONS))
    lines = [b"Host: %(host)s", *chance.choice(((), HEADERS)), *chance.choices(ODD_HEADERS, k=chance.randint(0, 3))]
    chance.shuffle(lines)
    return (b"\r\n".join((first, *lines, b"", b"")) * chance.choice((1, 1, 1, 2, 20)),)


def _mutated(chance: random.Random) -> tuple[bytes, bytes]:
    return _mutate(chance, _handshake()), b""


def _noise(chance: random.Random) -> tuple[bytes]:
    return (chance.randbytes(chance.choice((1, 10, 100, 1_000, 30_000))),)


def _message(chance: random.Random) -> tuple[bytes, bytes, bool]:
    """A message, or what may be the beginning of one; with good control frames before it."""
    opcode, length = chance.choice((0, 1, 2)), chance.choice((0, 1, 125, 126, 1_000, 65_536))
    frame = _frame(chance, opcode, chance.randbytes(length))
    last = chance.choice(
        (
            frame,
            bytes((opcode,)),  # a fragment, of which only the first byte comes
            bytes((opcode,)) + frame[1:],
            frame[: chance.randint(1, len(frame))],
            bytes((0x80 | opcode, 0xFF)) + struct.pack("!Q", chance.getrandbits(62)),  # more than there is memory
            frame * chance.choice((2, 3)),
        )
    )
    return _handshake(), _frame(chance, chance.choice((9, 10)), b"fine") * chance.choice((0, 0, 1, 5)) + last, True


def _control(chance: random.Random) -> tuple[bytes, bytes]:
    """Control frames that are broken, or too many."""
    payload = chance.randbytes(chance.choice((0, 1, 2, 3, 125, 126, 5_000)))
    count = chance.choice((1, 1, 2, 19, 21, 1_000 // (1 + len(payload)) + 1))
    return _handshake(), _frame(chance, chance.randrange(8, 16), payload) * count


def _stream(chance: random.Random) -> tuple[bytes, bytes]:
    """Noise where frames should come, or good frames with mistakes."""
    frames = b"".join(_frame(chance, chance.randrange(16), chance.randbytes(chance.randrange(9))) for _ in range(9))
    return _handshake(), chance.choice((chance.randbytes(chance.randrange(1, 300)), _mutate(chance, frames)))


def _eager(chance: random.Random) -> tuple[bytes, bytes | None, bool]:
    """Does not wait for the answer to its handshake: a message, or another handshake, comes right behind it."""
    if chance.random() < 0.5:
        return _handshake() + _frame(chance, 1, b"hello"), b"", True
    return _handshake() * 2, b"", False


class Client:
    """One client, its input, and how it ended."""

    def __init__(self, number: int, port: int, now: Callable[[], float]) -> None:
        self.number = number
        self.input = Input.of(number)
        self.failure = ""
        self._now = now
        self.answer = b""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.is_streaming = self.is_over = False
        self._host = f"127.0.0.1:{port}".encode()
        self._has_no_more = False
        self.since = self._now()
        self._send(self.input.opening.replace(b"%(host)s", self._host))

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self.socket.send(data)
        self.since = self._now()

    def _send_no_more(self) -> None:
        self._has_no_more = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.since = self._now()

    def read(self) -> None:
        """Take in what has come."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self.answer += data
        if not data:
            self.is_over = True
            if self.input.is_refused and REFUSED not in self.answer:
                self.failure = "it is not told why"
        elif not self.is_streaming and b"\r\n\r\n" in self.answer:
            self._read_answer()

    def _read_answer(self) -> None:
        status = STATUS.match(self.answer)
        if status is None:
            self.is_over, self.failure = True, "the answer is no HTTP, or says that the worker failed"
        elif status[1] != b"101" or self.input.frames is None:
            self.is_over = True
        else:
            self.is_streaming = True
            self._send(self.input.frames)
            if not self.input.is_refused:
                self._send_no_more()

    def pass_time(self) -> None:
        """Give up, if this takes too long."""
        waited = 0 if self.is_over else self._now() - self.since
        if not (self.is_streaming or self._has_no_more):
            # Where it is known to be a whole handshake, an answer must come.
            if waited > PATIENCE and not self.input.is_refused:
                self._send_no_more()
            elif waited > ANSWER_LIMIT:
                self.is_over, self.failure = True, "its handshake is not answered"
        elif waited > LIMIT + ALLOWANCE:
            self.is_over, self.failure = True, "the worker does not hang up"

    def report(self) -> str:
        """Return what there is to say about a failure."""
        return f"input {self.number} ({self.input.kind}): {self.failure}; answered {self.answer[:80]!r}"


def run(inputs: range, worker: Worker, viewer: Viewer, published: Published) -> Iterator[Client]:
    """Send the inputs, so many a second, while the viewer watches; yield each client when it is over.

    The time in which the machine had no processor for the worker is no time for the clients either.
    """

    def served() -> float:
        return time.monotonic() - waited_s(worker.pid)

    clients: deque[Client] = deque()
    numbers = iter(inputs)
    with selectors.DefaultSelector() as selector:
        selector.register(viewer.socket, selectors.EVENT_READ, viewer)
        due = time.monotonic()
        more = True
        while more or clients:
            now = time.monotonic()
            if more and now >= due:
                due = max(due, now - 0.02) + 1 / RATE
                number = next(numbers, None)
                if number is None:
                    more = False
                else:
                    clients.append(client := Client(number, worker.port, served))
                    selector.register(client.socket, selectors.EVENT_READ, client)
            for key, _ in selector.select(max(0.0, min(due - time.monotonic(), 0.01))):
                key.data.read()
            published.pass_time()
            for client in list(clients):
                client.pass_time()
                if client.is_over:
                    selector.unregister(client.socket)
                    client.socket.close()
                    clients.remove(client)
                    yield client


@pytest.mark.timeout(180)
@pytest.mark.fault(
    "a client that floods, pings, sends garbage, oversized or fragmented frames (10,000 inputs)",
    "closed within 1 s; no traceback in the log; others unaffected",
)
def test_fuzz(broker: Broker, ticker: Ticker, directory: Path, record_property: Callable[[str, object], None]) -> None:
    """Each is answered or closed within a second; the worker is as it was, and a viewer missed nothing.

    One tick of a hundred may be missed, and those that came while the machine had no processor for the worker.
    """
    with Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        published = Published(broker.port)
        viewer = connect(worker.port)
        files_before, waited_before = open_files(worker.pid), waited_s(worker.pid)
        clients = list(run(range(WARM_UP), worker, viewer, published))
        memory_before = resident_mib(worker.pid)
        clients += run(range(WARM_UP, INPUTS), worker, viewer, published)
        failures = [client.report() for client in clients if client.failure]
        assert not failures, f"{len(failures)}, such as\n" + "\n".join(failures[:20])
        wait_until(lambda: open_files(worker.pid) <= files_before, "the files are closed", 5)
        growth = resident_mib(worker.pid) - memory_before
        due = published.count(viewer.times[0], viewer.times[-1] + 1)
        missed = due - len(viewer.times)
        starved = (waited_s(worker.pid) - waited_before) * 1000 / TICK_MS
        kinds = Counter(client.input.kind for client in clients)
        print(f"{kinds}, {growth:+.1f} MiB, {starved:.0f} ticks for want of a processor")
        record_property(
            "measured", f"{len(clients)} inputs; another viewer missed {missed} of {due} ticks; {growth:+.1f} MiB"
        )
        assert viewer.times == sorted(set(viewer.times))
        assert missed <= due * 0.01 + starved
        assert growth < 5
        published.close()
        viewer.socket.close()
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()
