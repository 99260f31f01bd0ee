"""Harmful clients on a real worker: slow or idle ones, floods, too many, and viewers that never read."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Origin

from testbed.accounting import waited_s
from testbed.processes import Broker, Ticker, Worker
from testbed.stalled import established
from testbed.viewers import close, connect, handshake, upgrade_request, watch

REQUEST_TIMEOUT_S = 2
IDLE_TIMEOUT_S = 1
PING_TIMEOUT_S = 1
MAX_VIEWERS = 4

SLOW_CLIENTS = 200


@pytest.fixture(scope="module")
def strict(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker with short timeouts and few places. It stops with exit code 0 and prints no traceback."""
    assert ticker.running
    worker = Worker(
        broker.url,
        directory,
        CLOCK_REQUEST_TIMEOUT=str(REQUEST_TIMEOUT_S),
        CLOCK_IDLE_TIMEOUT=str(IDLE_TIMEOUT_S),
        CLOCK_MAX_VIEWERS=str(MAX_VIEWERS),
        CLOCK_DRAIN_NOTICE="0",
        CLOCK_DRAIN_SPREAD="0",
    )
    worker.command += ["--ping-interval", "1", "--ping-timeout", str(PING_TIMEOUT_S)]
    with worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def is_disconnected(client: socket.socket) -> bool:
    """Read what has arrived, which may be a 408, and return whether the worker has closed the connection."""
    try:
        while data := client.recv(1 << 16):
            assert data.startswith(b"HTTP/1.1 408 ")
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def test_slow_requests_are_closed_at_their_deadline(strict: Worker) -> None:
    """200 clients send a byte of a handshake now and then. Each is closed at the deadline; others connect meanwhile."""
    request = upgrade_request(strict.port)
    slow = []
    for _ in range(SLOW_CLIENTS):
        client = socket.create_connection(("127.0.0.1", strict.port))
        client.setblocking(False)
        slow.append(client)
    start = time.monotonic()
    longest_s = 0.0
    for place in range(len(request) - 1):
        for client in slow:
            with contextlib.suppress(ConnectionError):
                client.send(request[place : place + 1])
        before = time.monotonic()
        viewer = connect(strict.port)
        while not viewer.times:
            watch([viewer], 0.01)
        longest_s = max(longest_s, time.monotonic() - before)
        close([viewer])
        for client in [client for client in slow if is_disconnected(client)]:
            client.close()
            slow.remove(client)
        if not slow:
            break
        time.sleep(0.1)
    assert not slow
    assert REQUEST_TIMEOUT_S - 1 < time.monotonic() - start < REQUEST_TIMEOUT_S + 3
    assert longest_s < 1


def test_an_idle_connection_is_closed(strict: Worker) -> None:
    """A connection without another request is closed at the idle timeout."""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        start = time.monotonic()
        while client.recv(1 << 16):
            pass
        assert IDLE_TIMEOUT_S / 2 < time.monotonic() - start < IDLE_TIMEOUT_S + 3


@pytest.mark.parametrize(
    ("more", "status"),
    [(b"X: " + b"x" * 200_000, 431), (b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, 413), (b"no colon", 400)],
)
def test_an_invalid_request_gets_an_answer(strict: Worker, more: bytes, status: int) -> None:
    """The client reads the status, even if it sends all it has before it reads."""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as client:
        answer = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n\r\n")
            while chunk := client.recv(1 << 16):
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_full_worker_refuses_one_more_viewer(strict: Worker) -> None:
    """The next viewer gets close code 4013 with the reason. It can connect when another one has left."""
    viewers = [connect(strict.port) for _ in range(MAX_VIEWERS)]
    watch(viewers, 0.1)
    with (
        connect_websocket(f"ws://{strict.host}/ws/clock/", origin=Origin(f"http://{strict.host}")) as client,
        pytest.raises(ConnectionClosed) as closed,
    ):
        client.recv(timeout=5)
    received = closed.value.rcvd
    assert received is not None
    assert (received.code, received.reason) == (4013, "this worker is full")
    close([viewers.pop()])
    watch(viewers, 0.2)
    viewers.append(connect(strict.port))
    watch(viewers, 0.4)
    assert len(viewers[-1].times) > 10
    close(viewers)


def flood(worker: Worker, frame: bytes) -> tuple[float, bytes]:
    """Send a frame again and again without reading; return after how many seconds that failed, and what was received.

    The time in which the worker waited for a processor does not count.
    """
    with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
        handshake(client, worker.port, "/ws/clock/")
        client.settimeout(0.1)
        start, waited = time.monotonic(), waited_s(worker.pid)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < start + 5:
                with contextlib.suppress(TimeoutError):
                    client.sendall(frame * 20_000)
        elapsed_s = time.monotonic() - start - (waited_s(worker.pid) - waited)
        received = b""
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                received += data
    return elapsed_s, received


def test_floods_end_within_a_second(strict: Worker) -> None:
    """Pings, messages and a huge message: the worker sends close code 4008 before it disconnects the client.

    It does so even if the client does not read. A viewer gets its ticks meanwhile.
    """
    viewer = connect(strict.port)
    frames = [b"\x89\x80mask", b"\x81\x80mask", b"\x82\xff\0\0\0\1\0\0\0\0mask"]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda frame: flood(strict, frame), frames))
    for elapsed_s, received in results:
        assert elapsed_s < 1.5
        assert (4008).to_bytes(2, "big") in received
    watch([viewer], 0.5)
    assert viewer.times[-1] - viewer.times[0] >= (len(viewer.times) - 1) * 10
    assert len(viewer.times) > 20
    close([viewer])


def test_a_viewer_that_never_reads_is_disconnected(strict: Worker) -> None:
    """Its kernel goes on accepting frames, so only the unanswered ping shows it.

    A viewer that reads stays connected.
    """
    start = time.monotonic()
    reading, stalled = connect(strict.port), connect(strict.port)
    while stalled.socket.getsockname()[1] in established(strict.port):
        watch([reading], 0.1)
        assert time.monotonic() < start + 20
    assert time.monotonic() - start > PING_TIMEOUT_S * 0.8
    before = len(reading.times)
    watch([reading], 1)
    assert len(reading.times) > before + 30
    close([reading, stalled])
