"""The routers: each path has exactly one spelling, on our server, on plain Daphne and on Uvicorn."""

import contextlib
import http.client
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from channels.testing import HttpCommunicator

from clock.broadcast.relay import Relay
from clock.endpoints.endpoint import Content, endpoint
from clock.endpoints.routers import HttpRouter
from testbed.processes import Broker, PlainWorker, Program, Worker, wait_until
from tournament.asgi import application
from tournament.server.adapter.request_guard import is_ambiguous
from tournament.up.broker import free_port

PAGES = ["/clock/", "/clock/now", "/healthz", "/readyz", "/static/clock/clock.css"]
STREAM = "/ws/clock/"

# Other spellings of our paths. A server decodes them, so an application that checks only the decoded path serves them.
ALIASES = ["/%63lock/", "/clock%2f", "/clock%2Fnow", "/clock/%6eow", "/%68ealthz", "/read%79z", "/%2e/healthz"]
STREAM_ALIASES = ["/ws%2fclock/", "/ws/clock%2F", "/%77s/clock/", "/ws/cl%6Fck/"]


@pytest.fixture(scope="module", params=["tournament.server", "daphne", "uvicorn"])
def port(request: pytest.FixtureRequest, broker: Broker, directory: Path) -> Iterator[int]:
    """The port of our server, of Daphne or of Uvicorn, without ticks."""
    port = free_port()
    environment = {"REDIS_URL": broker.url, "CLOCK_NAMESPACE": "quiet"}
    if request.param in {"tournament.server", "daphne"}:
        kind = PlainWorker if request.param == "daphne" else Worker
        program: Program = kind(broker.url, directory, CLOCK_NAMESPACE="quiet")
        port = program.port  # type: ignore[attr-defined]
    else:
        command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
        program = Program("uvicorn", [*command, "tournament.asgi:application"], directory, environment)
    with program:
        wait_until(lambda: status(port, "/healthz") == 200, "the server responds")
        yield port
        assert "Traceback" not in program.output()


def send_head(port: int, head: str) -> int:
    """Send the head of a request, and return the status of the response; 0 if there is none."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head.encode() + b"\r\n\r\n")
        response = client.recv(65_536)
        if response:
            return int(response.split()[1])
    return 0


def status(port: int, target: str, *more: str, host: str | None = None) -> int:
    """Send a GET, and return the status."""
    return send_head(port, "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *more]))


def handshake(port: int, target: str, *more: str) -> int:
    """Send a WebSocket handshake from the page's own origin, and return the status."""
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    own = [f"Origin: http://127.0.0.1:{port}", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    return status(port, target, *upgrade, *own, *more)


def test_each_path_is_served(port: int) -> None:
    """Under its own spelling."""
    assert [status(port, path) for path in PAGES] == [200, 503, 200, 503, 200]
    assert handshake(port, STREAM) == 101


def test_other_spellings_are_not_served(port: int) -> None:
    """The status is 404."""
    aliases = [
        *ALIASES,
        "/static/clock/clock%2ecss",
        "/static%2Fclock/clock.css",
        "//clock/",
        "//healthz",
        "/./healthz",
    ]
    assert {alias: status(port, alias) for alias in aliases} == dict.fromkeys(aliases, 404)


def test_metrics_are_not_served(port: int) -> None:
    """Under any spelling, on the port that is public."""
    names = ["/metrics", "/%6detrics", "//metrics", "/./metrics", "/metrics/", "/x/metrics", "/metrics;x", "/metrics?x"]
    for more in ([], ["Daphne-Root-Path: /x"], ["Daphne-Root-Path: /"], ["daphne-root-path: /./"]):
        assert {name: status(port, name, *more) for name in names} == dict.fromkeys(names, 404)


def test_other_spellings_of_the_stream_are_refused(port: int) -> None:
    """The rules of a load balancer would not match them. Autobahn accepts a whole URL as a path."""
    aliases = [*STREAM_ALIASES, "//any/ws/clock/", "//ws/clock/", "/ws/clock/;any", "/ws/clock/#", "/./ws/clock/"]
    found = {alias: handshake(port, alias) for alias in aliases}
    assert found["/ws/clock/#"] in {400, 403}
    assert {alias: code for alias, code in found.items() if code != 403} == (
        {"/ws/clock/#": 400} if found["/ws/clock/#"] == 400 else {}
    )


@pytest.mark.parametrize("value", ["/x", "/%78", "", "\u00e4"])
def test_a_client_cannot_set_the_root_path(port: int, value: str) -> None:
    """The header for it, which Daphne reads, is dropped."""
    name = f"Daphne-Root-Path: {value}"
    assert status(port, "/x/healthz", name) == 404
    assert status(port, "/x/clock/", name) == 404
    assert handshake(port, "/x/ws/clock/", name) == 403
    assert status(port, "/healthz", name) == 200
    assert handshake(port, STREAM, name) == 101


@pytest.mark.parametrize("host", ["192.0.2.7:8001", "pod.example"])
def test_only_health_is_served_for_any_host(port: int, host: str) -> None:
    """Everything else requires a Host in `DJANGO_ALLOWED_HOSTS`, and all of it exactly one Host."""
    assert [status(port, path, host=host) for path in PAGES] == [400, 400, 200, 503, 400]
    assert [status(port, path, "Host: pod.example", host=host) for path in PAGES] == [400] * 5
    assert [send_head(port, f"GET {path} HTTP/1.1") for path in PAGES] == [400] * 5


@pytest.mark.parametrize("target", ["http://127.0.0.1:%d%s", "HTTP://127.0.0.1:%d%s"])
def test_an_absolute_target_is_served_by_its_path(worker: Worker, target: str) -> None:
    """For HTTP and for WebSockets. It bypasses no check."""
    port = worker.port
    for path, code in (("/clock/", 200), ("/healthz", 200), ("/metrics", 404), ("/%63lock/", 404)):
        assert status(port, target % (port, path)) == code
    assert handshake(port, target % (port, STREAM)) == 101
    for path in (*STREAM_ALIASES, "//any/ws/clock/"):
        assert handshake(port, target % (port, path)) == 403


def test_an_absolute_target_overrides_the_host(worker: Worker) -> None:
    """Its host counts, and the Host header does not: RFC 9112, section 3.2.2."""
    assert status(worker.port, "http://evil.example/clock/") == 400
    assert status(worker.port, f"http://127.0.0.1:{worker.port}/clock/", host="evil.example") == 200
    assert handshake(worker.port, "http://evil.example/ws/clock/") == 403


def test_under_a_root_path(broker: Broker, directory: Path) -> None:
    """The option `--root-path` sets it, and no client can. Below it each path has one spelling, too."""
    worker = Worker(broker.url, directory)
    worker.command[-1:-1] = ["--root-path", "/b\u00f6rd"]
    with worker:
        below, port = "/b%C3%B6rd", worker.port
        other = "Daphne-Root-Path: /x"
        assert [status(port, below + path, other) for path in ("/clock/", "/healthz")] == [200, 200]
        assert status(port, "/x/healthz", other) == 404
        assert handshake(port, below + STREAM) == 101
        aliases = ["/b%c3%b6rd", "/%62%C3%B6rd"]
        assert [status(port, alias + "/healthz") for alias in aliases] == [404, 404]
        assert [handshake(port, alias + STREAM) for alias in aliases] == [403, 403]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", f"{below}/")
            assert connection.getresponse().headers["Location"] == f"{below}/clock/"


@pytest.mark.parametrize(
    ("path", "raw", "code"),
    [
        ("/healthz", b"/healthz", 200),
        ("/healthz", b"/%68ealthz", 404),
        ("/healthz", b"/healthz%", 404),
        ("/\ufffd", b"/%ff", 404),
        ("/healthz", None, 200),
    ],
)
async def test_the_raw_path_is_checked(relay: Relay, path: str, raw: bytes | None, code: int) -> None:
    """If the server provides it."""
    communicator = HttpCommunicator(application, "GET", path, headers=[(b"host", b"localhost")])
    communicator.scope["raw_path"] = raw
    response: Any = await communicator.get_response()
    assert response["status"] == code


async def test_an_unknown_protocol_raises_an_error() -> None:
    """As the ASGI specification requires."""

    async def receive() -> NoReturn:
        raise AssertionError

    with pytest.raises(ValueError, match=r"carrier\.pigeon"):
        await application({"type": "carrier.pigeon"}, receive, receive)


async def test_an_error_in_an_endpoint_is_logged_once(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    """Each request gets 500, but only the first of several failures in a row logs a traceback."""
    fails = True

    @endpoint()
    def divide(_scope: Any) -> Content:
        if fails:
            raise OverflowError("date value out of range")
        return Content(http.HTTPStatus.OK, b"{}")

    async def code() -> int:
        router = HttpRouter({"/divide": divide}, otherwise=application)
        communicator = HttpCommunicator(router, "GET", "/divide", headers=[(b"host", b"localhost")])
        response: Any = await communicator.get_response()
        return int(response["status"])

    def logged() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == "clock.endpoints.endpoint"]

    assert [await code(), await code()] == [500, 500]
    assert len(logged()) == 1
    assert logged()[0].exc_info is not None
    fails = False
    assert await code() == 200
    fails = True
    assert await code() == 500
    assert len(logged()) == 2


@pytest.mark.parametrize(
    ("target", "ambiguous"),
    [
        (b"/clock/", False),
        (b"/clock/?a=//b;c#d", False),
        (b"/%2f;", True),
        (b"//a/b", True),
        (b"/a;b", True),
        (b"/a#b", True),
        (b"http://a/", True),
        (b"//[a", True),
        (b"/\xff", False),  # refused by another check
    ],
)
def test_targets_that_urls_parse_differently(target: bytes, ambiguous: bool) -> None:  # noqa: FBT001
    """Autobahn parses the target of a request as a URL, and would find another path in it."""
    assert is_ambiguous(target, target.partition(b"?")[0]) == ambiguous
