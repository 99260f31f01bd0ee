"""However a connection ends, all that belongs to it is freed at once, without the garbage collector.

Only Django leaves reference cycles behind, with a page that it renders and with an error: see `garbage.py`.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.viewers import CLOSE_1000, handshake, reset_on_close, upgrade_request

CONNECTIONS: Final = 20

MESSAGE: Final = bytes((0x81, 0x82, 0, 0, 0, 0)) + b"hi"
INVALID_FRAME: Final = b"\xff" * 16


@pytest.fixture(scope="module")
def worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker of this module's own, which collects no garbage."""
    with Worker(broker.url, directory) as worker:
        worker.stop()
        worker.command[-1] = "tests.tournament.server.adapter.census:application"
        worker.start()
        worker.wait_for_ticks()
        yield worker


def census(worker: Worker) -> dict[str, int]:
    """Return how many objects of each class exist. Those of this request itself always do."""
    counts: dict[str, int] = json.loads(worker.get("/census")[1])
    return counts


def stream(client: socket.socket, port: int) -> None:
    """Become a viewer."""
    handshake(client, port, "/ws/clock/")


def request(path: str, *headers: str) -> Callable[[socket.socket, int], None]:
    """Return what sends a request, and reads the answer."""

    def send(client: socket.socket, port: int) -> None:
        client.sendall("\r\n".join((f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", "")).encode())
        assert client.recv(4096)

    return send


def viewer_that_sends(data: bytes) -> Callable[[socket.socket, int], None]:
    """Return what becomes a viewer, sends this, and reads until the worker closes."""

    def send(client: socket.socket, port: int) -> None:
        stream(client, port)
        client.sendall(data)
        with contextlib.suppress(ConnectionResetError):  # it reads nothing that a refused client sends
            while client.recv(1 << 16):
                pass

    return send


def reset_viewer(client: socket.socket, port: int) -> None:
    """Become a viewer that resets its connection."""
    stream(client, port)
    reset_on_close(client)


def refused_handshake(path: str) -> Callable[[socket.socket, int], None]:
    """Return what sends a handshake to a path, or with parameters, that the worker refuses."""

    def send(client: socket.socket, port: int) -> None:
        client.sendall(upgrade_request(port, path))
        assert client.recv(4096)

    return send


def reset_handshake(client: socket.socket, port: int) -> None:
    """Send a handshake, and reset the connection before it is answered."""
    client.sendall(upgrade_request(port))
    reset_on_close(client)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(stream, id="viewer that closes without a close frame"),
        pytest.param(reset_viewer, id="viewer that resets"),
        pytest.param(viewer_that_sends(CLOSE_1000), id="viewer that sends a close frame"),
        pytest.param(viewer_that_sends(MESSAGE), id="viewer that sends a message"),
        pytest.param(viewer_that_sends(INVALID_FRAME), id="viewer that sends no valid frame"),
        pytest.param(reset_handshake, id="handshake and reset"),
        pytest.param(refused_handshake("/ws/clock/?rate=0"), id="handshake that is refused"),
        pytest.param(refused_handshake("/nowhere"), id="handshake to an unknown path"),
        pytest.param(request("/clock/now"), id="time"),
        pytest.param(request("/static/clock/clock.css"), id="static file"),
        pytest.param(request("/healthz", "Connection: close"), id="request on a connection of its own"),
    ],
)
def test_a_connection_leaves_nothing_behind(worker: Worker, use: Callable[[socket.socket, int], None]) -> None:
    """The numbers are as before, as soon as the worker has noticed the end."""
    before = census(worker)

    def connect(_number: int) -> None:
        with socket.create_connection(("127.0.0.1", worker.port), timeout=10) as client:
            use(client, worker.port)

    with ThreadPoolExecutor(CONNECTIONS) as pool:  # some wait for a second until the worker closes
        list(pool.map(connect, range(CONNECTIONS)))
    wait_until(lambda: census(worker) == before, f"no object is left but {before}", 5)


def test_the_census_finds_what_is_left(worker: Worker) -> None:
    """An open stream counts."""
    before = census(worker)
    with socket.create_connection(("127.0.0.1", worker.port), timeout=10) as client:
        stream(client, worker.port)
        assert census(worker)["WebSocket"] == before.get("WebSocket", 0) + 1
