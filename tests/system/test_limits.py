"""Bad neighbours on a real worker: those that are slow on purpose, those that flood, and those that are too many."""

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.processes import Broker, Ticker, Worker
from testbed.viewers import connect, shake_hands, watch
from tests.tournament.server.test_server import ask, closing, handshake, viewer

DEADLINE = 3  # seconds
SLOW_CLIENTS = 1_000


@pytest.fixture(scope="module")
def strict(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker with a short deadline, and room for three."""
    settings = {"CLOCK_REQUEST_TIMEOUT": str(DEADLINE), "CLOCK_MAX_VIEWERS": "3"}
    with Worker(broker.url, directory, **settings) as worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def is_cut(client: socket.socket) -> bool:
    """Return whether the worker has ended a connection; what it said before is read."""
    try:
        while data := client.recv(1 << 16):
            assert data.startswith(b"HTTP/1.1 408 ")
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def test_a_thousand_half_open_handshakes(strict: Worker) -> None:
    """Each sends a byte every now and then, and all are cut at their deadline; meanwhile a new client gets in soon."""
    data = handshake(strict)
    slow = []
    for _ in range(SLOW_CLIENTS):
        client = socket.create_connection(("127.0.0.1", strict.port))
        client.setblocking(False)
        slow.append(client)
    start = time.monotonic()
    longest = 0.0
    for place in range(60):
        for client in slow:
            with contextlib.suppress(ConnectionError):
                client.send(data[place : place + 1])
        before = time.monotonic()
        one = connect(strict.port)
        watch([one], 0.05)
        longest = max(longest, time.monotonic() - before - 0.05)
        assert one.times
        one.socket.close()
        for client in [client for client in slow if is_cut(client)]:
            client.close()
            slow.remove(client)
        if not slow:
            break
        time.sleep(0.2)
    assert not slow
    assert DEADLINE - 1 < time.monotonic() - start < DEADLINE + 3
    assert longest < 1


def test_an_idle_connection_between_two_requests(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """It is let go when its time is over."""
    with ExitStack() as open_:
        worker = open_.enter_context(Worker(broker.url, directory, CLOCK_IDLE_TIMEOUT="1"))
        client = open_.enter_context(socket.create_connection(("127.0.0.1", worker.port), timeout=5))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        start = time.monotonic()
        while client.recv(1 << 16):
            pass
        assert 0.5 < time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("more", "status"),
    [(b"X: " + b"x" * 200_000, 431), (b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, 413), (b"no colon", 400)],
)
def test_a_refusal_can_be_read(strict: Worker, more: bytes, status: int) -> None:
    """Also by a client that sends all it has before it reads."""
    answer = ask(strict, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_worker_that_is_full(strict: Worker) -> None:
    """The fourth is told so; and is let in when another has left."""
    inside = [connect(strict.port) for _ in range(3)]
    watch(inside, 0.2)
    with viewer(strict) as client:
        close = closing(client).rcvd
    assert close is not None
    assert (close.code, close.reason) == (4013, "this worker is full")
    inside.pop().socket.close()
    watch(inside, 0.2)
    inside.append(connect(strict.port))
    watch(inside, 0.5)
    assert len(inside[-1].times) > 10
    for one in inside:
        one.socket.close()


@pytest.mark.parametrize("frame", [b"\x89\x80mask", b"\x81\x80mask", b"\x82\xff\0\0\0\1\0\0\0\0mask"])
def test_a_flood(strict: Worker, frame: bytes) -> None:
    """It ends within a second, with a word to a client that does not read; who else is there gets its ticks."""
    other = connect(strict.port)
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as client:
        shake_hands(client, strict.port, "/ws/clock/")
        client.settimeout(0.1)
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < start + 5:
                with contextlib.suppress(TimeoutError):
                    client.sendall(frame * 20_000)
        assert time.monotonic() - start < 1.5
        got = b""
        with contextlib.suppress(ConnectionError):
            while data := client.recv(1 << 16):
                got += data
        assert b"\x0f\xa8" in got
    watch([other], 0.5)
    assert other.times[-1] - other.times[0] >= (len(other.times) - 1) * 10
    assert len(other.times) > 50
    other.socket.close()
