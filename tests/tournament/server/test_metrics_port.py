"""The metrics port of a real worker."""

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock, call

import pytest
from twisted.internet.testing import StringTransport

from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from testbed.processes import Broker, Program, Ticker, Worker, wait_until
from testbed.viewers import connect, reset_on_close, watch
from tournament.server import metrics_port
from tournament.server.metrics_port import MAX_CONNECTIONS, MetricsPort, interface_of
from tournament.up.broker import free_port


@pytest.fixture(scope="module")
def port() -> int:
    """The metrics port of the worker below."""
    return free_port()


@pytest.fixture(scope="module")
def watched(broker: Broker, ticker: Ticker, directory: Path, port: int) -> Iterator[Worker]:
    """A worker with metrics."""
    times = {"CLOCK_REQUEST_TIMEOUT": "1", "CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "0"}
    with Worker(broker.url, directory, CLOCK_METRICS_PORT=str(port), **times) as worker:
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
    """Send bytes on a new connection, and return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client.recv(65_536):
                answer += chunk
        return answer


@pytest.mark.parametrize("host", ["localhost", "192.0.2.7:9100", "[2001:db8::7]:9100", "pod.example", ""])
def test_any_single_host_is_accepted(watched: Worker, port: int, host: str) -> None:
    """Prometheus scrapes by address, so the Host may be any."""
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
    """The port serves `/metrics` and nothing else, and closes the connection after one answer."""
    answer = ask(port, data)
    assert re.match(rb"HTTP/1\.[01] %d " % status, answer), answer
    assert b"connection: close" in answer.lower()
    assert (b"clock_ready" in answer) == (status == 200 and not data.startswith(b"HEAD"))


def test_a_thousand_requests_in_a_row_are_answered_once(watched: Worker, port: int) -> None:
    """Pipelined requests are not answered: they would delay the ticks."""
    answer = ask(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)
    assert answer.count(b"HTTP/1.1 ") <= 1  # none, if the reset was faster than the answer


def test_clients_of_the_port_do_not_harm_viewers(watched: Worker, port: int) -> None:
    """Slow clients get 408, those beyond the limit are closed, and viewers connect and receive their ticks."""
    with ExitStack() as open_:
        slow = [
            open_.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(MAX_CONNECTIONS)
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
        for client in slow[: MAX_CONNECTIONS // 2]:  # some end by a reset
            reset_on_close(client)
            client.close()
    wait_until(lambda: ask(port, b"GET /metrics HTTP/1.0\r\n\r\n") != b"", "a connection is accepted again", 5)


def test_without_the_setting_there_is_no_port(worker: Worker) -> None:
    """There are no metrics on the worker's own port, and it listens on no other."""
    assert worker.get("/metrics")[0] == 404
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout
    assert len(re.findall(rf"pid={worker.pid},", listening)) <= 1


def test_a_port_in_use_ends_the_worker(broker: Broker, worker: Worker, directory: Path) -> None:
    """With exit code 1. The last line names the setting and its value."""
    command = [sys.executable, "-m", "tournament.server", "-p", str(free_port()), "tournament.asgi:application"]
    environment = {"REDIS_URL": broker.url, "CLOCK_METRICS_PORT": str(worker.port)}
    with Program("second", command, directory, environment) as second:
        assert second.wait() == 1
        last = second.output().splitlines()[-1]
        reason = rf"CLOCK_METRICS_PORT={worker.port} is unavailable: .*already in use.*"
        assert re.search(rf'level=CRITICAL .* message="clock \S+: worker ended: {reason}"', last)
        assert "Traceback" not in second.output()


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
def test_the_port_is_on_the_workers_own_address(endpoints: list[str], interface: str) -> None:
    """It is the address of the worker's first TCP endpoint, or the loopback address if there is none."""
    assert interface_of(endpoints) == interface


def test_an_error_affects_one_request(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose metrics fail gets 500, and the next one is answered."""

    def fail(_status: ServerStatus) -> bytes:
        raise OverflowError

    def answer() -> bytes:
        connection = MetricsPort(1, [], ServerStatus()).http_port.buildProtocol(None)
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


async def test_a_worker_with_a_supervisor_waits_for_its_port(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker that it replaces keeps the port until it ends. That is logged once."""
    caplog.set_level("INFO", logger="tournament")
    monkeypatch.setattr(metrics_port, "RETRY_PAUSE_S", 0)
    listen = Mock(side_effect=[OSError("in use"), OSError("in use"), None])
    port = MetricsPort(9100, ["tcp:port=8001:interface=127.0.0.1"], ServerStatus())
    monkeypatch.setattr(port.http_port, "listen", listen)
    await port.listen_when_free()
    assert listen.call_args_list == [call(9100, "127.0.0.1")] * 3
    assert [record.message for record in caplog.records] == [
        "the metrics port is not free yet: in use",
        "metrics are on port 9100, /metrics",
    ]


async def test_without_a_port_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with a supervisor needs no metrics."""
    port = MetricsPort(0, [], ServerStatus())
    monkeypatch.setattr(port.http_port, "listen", Mock(side_effect=AssertionError))
    await port.listen_when_free()
