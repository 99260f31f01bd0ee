"""Which paths lead where: each has one spelling, on the worker and on the servers that stand in for it."""

import contextlib
import http.client
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from channels.testing import HttpCommunicator, WebsocketCommunicator

from clock.broadcast.relay import Relay
from clock.endpoints.endpoint import Answer, page
from clock.endpoints.routers import PageRouter
from testbed.processes import Broker, PlainWorker, Program, Worker, wait_until
from tournament.asgi import application
from tournament.server.web_request import is_ambiguous
from tournament.up.broker import free_port

PAGES = ["/clock/", "/clock/now", "/healthz", "/readyz", "/static/clock/clock.css"]
STREAM = "/ws/clock/"

# What the server gets for a path: it decodes it, and an application that looks at that alone is misled.
ALIASES = ["/%63lock/", "/clock%2f", "/clock%2Fnow", "/clock/%6eow", "/%68ealthz", "/read%79z", "/%2e/healthz"]
STREAM_ALIASES = ["/ws%2fclock/", "/ws/clock%2F", "/%77s/clock/", "/ws/cl%6Fck/"]


@pytest.fixture(scope="module", params=["tournament.server", "daphne", "uvicorn"])
def port(request: pytest.FixtureRequest, broker: Broker, directory: Path) -> Iterator[int]:
    """The port of a worker, or of another server; no ticks come."""
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
        wait_until(lambda: status(port, "/healthz") == 200, "it answers")
        yield port
        assert "Traceback" not in program.output()


def head(port: int, head: str) -> int:
    """Send the head of a request, and return the status of the answer; 0 if there is none."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head.encode() + b"\r\n\r\n")
        answer = client.recv(65_536)
        if answer:
            return int(answer.split()[1])
    return 0


def status(port: int, target: str, *more: str, host: str | None = None) -> int:
    """Ask for a page."""
    return head(port, "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *more]))


def shake_hands(port: int, target: str, *more: str) -> int:
    """Ask for a stream from the page's own origin."""
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    own = [f"Origin: http://127.0.0.1:{port}", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    return status(port, target, *upgrade, *own, *more)


def test_each_path_is_there(port: int) -> None:
    """By its own name."""
    assert [status(port, path) for path in PAGES] == [200, 503, 200, 503, 200]
    assert shake_hands(port, STREAM) == 101


def test_no_path_is_there_by_another(port: int) -> None:
    """404, whatever it is an alias of."""
    aliases = [
        *ALIASES,
        "/static/clock/clock%2ecss",
        "/static%2Fclock/clock.css",
        "//clock/",
        "//healthz",
        "/./healthz",
    ]
    assert {alias: status(port, alias) for alias in aliases} == dict.fromkeys(aliases, 404)


def test_there_are_no_metrics(port: int) -> None:
    """By any name, on the port that a load balancer knows."""
    names = ["/metrics", "/%6detrics", "//metrics", "/./metrics", "/metrics/", "/x/metrics", "/metrics;x", "/metrics?x"]
    for more in ([], ["Daphne-Root-Path: /x"], ["Daphne-Root-Path: /"], ["daphne-root-path: /./"]):
        assert {name: status(port, name, *more) for name in names} == dict.fromkeys(names, 404)


def test_no_stream_is_there_by_another(port: int) -> None:
    """A load balancer would not take it for one. Autobahn takes all that a URL may be for a path."""
    aliases = [*STREAM_ALIASES, "//any/ws/clock/", "//ws/clock/", "/ws/clock/;any", "/ws/clock/#", "/./ws/clock/"]
    found = {alias: shake_hands(port, alias) for alias in aliases}
    assert found["/ws/clock/#"] in {400, 403}
    assert {alias: code for alias, code in found.items() if code != 403} == (
        {"/ws/clock/#": 400} if found["/ws/clock/#"] == 400 else {}
    )


@pytest.mark.parametrize("value", ["/x", "/%78", "", "\u00e4"])
def test_a_client_has_no_say_in_the_root_path(port: int, value: str) -> None:
    """Its header is not there."""
    name = f"Daphne-Root-Path: {value}"
    assert status(port, "/x/healthz", name) == 404
    assert status(port, "/x/clock/", name) == 404
    assert shake_hands(port, "/x/ws/clock/", name) == 403
    assert status(port, "/healthz", name) == 200
    assert shake_hands(port, STREAM, name) == 101


@pytest.mark.parametrize("host", ["192.0.2.7:8001", "pod.example"])
def test_health_is_told_by_any_single_host(port: int, host: str) -> None:
    """And all else by the clock's own names alone."""
    assert [status(port, path, host=host) for path in PAGES] == [400, 400, 200, 503, 400]
    assert [status(port, path, "Host: pod.example", host=host) for path in PAGES] == [400] * 5
    assert [head(port, f"GET {path} HTTP/1.1") for path in PAGES] == [400] * 5


@pytest.mark.parametrize("target", ["http://127.0.0.1:%d%s", "HTTP://127.0.0.1:%d%s"])
def test_an_absolute_target(worker: Worker, target: str) -> None:
    """It is what it names, for a page and for a stream; and it is no way past anything."""
    port = worker.port
    for path, code in (("/clock/", 200), ("/healthz", 200), ("/metrics", 404), ("/%63lock/", 404)):
        assert status(port, target % (port, path)) == code
    assert shake_hands(port, target % (port, STREAM)) == 101
    for path in (*STREAM_ALIASES, "//any/ws/clock/"):
        assert shake_hands(port, target % (port, path)) == 403


def test_an_absolute_target_says_which_host(worker: Worker) -> None:
    """And the header does not: RFC 9112, section 3.2.2."""
    assert status(worker.port, "http://evil.example/clock/") == 400
    assert status(worker.port, f"http://127.0.0.1:{worker.port}/clock/", host="evil.example") == 200
    assert shake_hands(worker.port, "http://evil.example/ws/clock/") == 403


def test_below_a_root_path(broker: Broker, directory: Path) -> None:
    """That is for whoever starts the server, and there each path has one spelling too; no other can be had."""
    worker = Worker(broker.url, directory)
    worker.command[-1:-1] = ["--root-path", "/b\u00f6rd"]
    with worker:
        below, port = "/b%C3%B6rd", worker.port
        other = "Daphne-Root-Path: /x"
        assert [status(port, below + path, other) for path in ("/clock/", "/healthz")] == [200, 200]
        assert status(port, "/x/healthz", other) == 404
        assert shake_hands(port, below + STREAM) == 101
        aliases = ["/b%c3%b6rd", "/%62%C3%B6rd"]
        assert [status(port, alias + "/healthz") for alias in aliases] == [404, 404]
        assert [shake_hands(port, alias + STREAM) for alias in aliases] == [403, 403]
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
async def test_the_path_as_it_was_sent(relay: Relay, path: str, raw: bytes | None, code: int) -> None:
    """Where the server has it."""
    communicator = HttpCommunicator(application, "GET", path, headers=[(b"host", b"localhost")])
    communicator.scope["raw_path"] = raw
    answer: Any = await communicator.get_response()
    assert answer["status"] == code


async def test_another_protocol_is_not_supported() -> None:
    """ASGI has an application say so by an error."""
    communicator = WebsocketCommunicator(application, STREAM)
    communicator.scope["type"] = "carrier.pigeon"
    with pytest.raises(ValueError, match=r"carrier\.pigeon"):
        await communicator.connect()


async def test_an_error_is_one_requests_own(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    """500 for that one, and one traceback for all that fail in a row."""
    fails = True

    @page
    def divide(_scope: Any) -> Answer:
        if fails:
            raise OverflowError("date value out of range")
        return Answer(http.HTTPStatus.OK, b"{}")

    async def code() -> int:
        router = PageRouter({"/divide": divide}, otherwise=application)
        communicator = HttpCommunicator(router, "GET", "/divide", headers=[(b"host", b"localhost")])
        answer: Any = await communicator.get_response()
        return int(answer["status"])

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
        (b"/\xff", False),  # refused elsewhere
    ],
)
def test_what_has_another_path_as_a_url(target: bytes, ambiguous: bool) -> None:  # noqa: FBT001
    """Autobahn reads it as that."""
    assert is_ambiguous(target, target.partition(b"?")[0]) == ambiguous
