"""The port where Prometheus asks a worker, on a real one."""

import contextlib
import http.client
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.internet.testing import StringTransport

from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from testbed.processes import ROOT, Broker, PlainWorker, Ticker, Worker, accepts_connections, wait_until
from testbed.viewers import connect, watch
from tournament.server import metrics_port
from tournament.server.metrics_port import MOST_CONNECTIONS, MetricsPort, interface_of
from tournament.up.broker import free_port


@pytest.fixture(scope="module")
def port() -> int:
    """Where the metrics of the worker below are."""
    return free_port()


@pytest.fixture(scope="module")
def watched(broker: Broker, ticker: Ticker, directory: Path, port: int) -> Iterator[Worker]:
    """A worker with metrics."""
    with Worker(broker.url, directory, CLOCK_METRICS_PORT=str(port), CLOCK_REQUEST_TIMEOUT="2") as worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def scrape(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Return the status, headers and body of an answer on the metrics port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


def ask(port: int, data: bytes) -> bytes:
    """Send bytes on a socket of its own, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client.recv(65_536):
                answer += chunk
        return answer


@pytest.mark.parametrize("host", ["localhost", "192.0.2.7:9100", "[2001:db8::7]:9100", "pod.example", ""])
def test_by_any_single_host(watched: Worker, port: int, host: str) -> None:
    """Prometheus asks by address."""
    status, headers, text = scrape(port, Host=host)
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert "clock_ready 1.0" in text


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET http://a/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /metrics?debug HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 413),
        (b"GET /%6detrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /x/metrics HTTP/1.1\r\nHost: a\r\nDaphne-Root-Path: /x\r\n\r\n", 404),
        (b"GET /clock/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /ws/clock/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /met", 408),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
def test_what_is_answered(watched: Worker, port: int, data: bytes, status: int) -> None:
    """`/metrics` and nothing else; and then the connection ends."""
    answer = ask(port, data)
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer
    assert b"connection: close" in answer.lower()
    assert (b"clock_ready" in answer) == (status == 200 and not data.startswith(b"HEAD"))


def test_a_thousand_requests_in_a_row_are_answered_once(watched: Worker, port: int) -> None:
    """The rest would hold up the ticks."""
    answer = ask(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)
    assert answer.count(b"HTTP/1.1 ") <= 1  # none, where the reset was quicker than the answer


def test_nobody_there_harms_a_viewer(watched: Worker, port: int) -> None:
    """Whoever is slow is cut off, whoever is one too many is closed, and viewers come and get their ticks."""
    with ExitStack() as open_:
        slow = [
            open_.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(MOST_CONNECTIONS)
        ]
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
        time.sleep(0.2)
        for _ in range(50):
            assert ask(port, b"") == b""
        viewer = connect(watched.port)
        watch([viewer], 0.5)
        assert len(viewer.times) > 25
        viewer.socket.close()
        for client in slow:
            assert client.recv(65_536).startswith(b"HTTP/1.1 408 ")
        for client in slow[: MOST_CONNECTIONS // 2]:  # some end by a reset
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    wait_until(lambda: ask(port, b"GET /metrics HTTP/1.0\r\n\r\n") != b"", "there is room again", 5)


def test_it_is_there_until_the_worker_has_gone(broker: Broker, directory: Path) -> None:
    """Also while it drains; and then the port is free."""
    port = free_port()
    settings = {"CLOCK_METRICS_PORT": str(port), "CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "2"}
    with Worker(broker.url, directory, **settings) as worker:
        viewers = [connect(worker.port) for _ in range(2)]
        worker.signal(signal.SIGTERM)
        wait_until(lambda: not accepts_connections(worker.port), "no more viewers are taken", 5)
        status, _, text = scrape(port)
        assert status == 200
        assert "clock_draining 1.0" in text
        assert worker.wait() == 0
        assert not accepts_connections(port)
        for viewer in viewers:
            viewer.socket.close()


def test_without_the_setting_there_are_none(worker: Worker) -> None:
    """Neither on the worker's own port, nor on another."""
    assert worker.get("/metrics")[0] == 404
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout
    assert len(re.findall(rf"pid={worker.pid},", listening)) <= 1


def test_plain_daphne_has_none(broker: Broker, directory: Path) -> None:
    """There is nobody who could serve them."""
    port = free_port()
    with PlainWorker(broker.url, directory, CLOCK_METRICS_PORT=str(port)) as worker:
        assert worker.get("/metrics")[0] == 404
        assert not accepts_connections(port)


def test_a_port_that_is_taken(broker: Broker, worker: Worker) -> None:
    """It says so and ends with an exit code."""
    command = [sys.executable, "-m", "tournament.server", "-p", str(free_port()), "tournament.asgi:application"]
    environment = {"REDIS_URL": broker.url, "CLOCK_METRICS_PORT": str(worker.port)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"CLOCK_METRICS_PORT={worker.port} cannot be used: " in done.stderr
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("endpoints", "interface"),
    [
        (["tcp:port=8001:interface=127.0.0.1"], "127.0.0.1"),
        ([r"tcp:port=8001:interface=\:\:1:backlog=7"], "::1"),
        (["tcp:port=8001:interface=0.0.0.0:backlog=4096"], "0.0.0.0"),
        (["fd:fileno=3", "ssl:443:interface=192.0.2.7", "tcp:80:interface=127.0.0.1"], "192.0.2.7"),
        (["tcp:8001"], ""),  # all addresses, as with Twisted
        (["unix:/run/clock"], "127.0.0.1"),
    ],
)
def test_it_is_on_the_workers_own_address(endpoints: list[str], interface: str) -> None:
    """That of its first TCP port; and on the loopback where it has none."""
    assert interface_of(endpoints) == interface


def test_an_error_is_one_requests_own(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets 500, the error is logged, and the next is answered."""

    def fail(_status: ServerStatus) -> bytes:
        raise OverflowError

    def answer() -> bytes:
        connection = MetricsPort(1, [], ServerStatus()).buildProtocol(None)
        assert connection is not None
        transport = StringTransport()
        connection.makeConnection(transport)
        connection.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        value: bytes = transport.value()
        return value

    with monkeypatch.context() as patched:
        patched.setattr(metrics_port, "metrics", fail)
        assert answer().startswith(b"HTTP/1.1 500 ")
    assert answer().startswith(b"HTTP/1.1 200 ")
