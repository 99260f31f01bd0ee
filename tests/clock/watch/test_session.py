"""A session against real servers: a worker, and others that fail in every way there is."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from clock.watch import stream as module
from clock.watch.failure import Kind
from clock.watch.limits import Limits
from clock.watch.session import Plan, Session
from clock.watch.summary import Summary
from clock.watch.target import parse_target
from testbed.processes import Worker, free_port
from testbed.redis_servers import Certificate
from tests.clock.watch.conftest import Record

Handler = Callable[[ServerConnection], Awaitable[None]]


async def watch(address: str, *, display: Record | None = None, **plan: Any) -> Summary:
    """Run a session, for a moment unless the test says otherwise."""
    target = parse_target(address, plan.pop("rate", None))
    values = {"origin": target.origin, "duration_s": 0.3, **plan}
    async with asyncio.timeout(20):
        return await Session(Plan(target=target, **values), display or Record()).run(asyncio.Event())


def frame() -> str:
    """Return a frame of this moment."""
    at = time.time_ns() // 10_000_000 * 10
    return json.dumps({"message": f"at {at}", "at": at})


async def send_frames(connection: ServerConnection) -> None:
    """Send a frame every 10 ms."""
    while True:
        await connection.send(frame())
        await asyncio.sleep(0.01)


@asynccontextmanager
async def clock(handler: Handler, *, status: HTTPStatus | None = None, **options: Any) -> AsyncIterator[int]:
    """Run a server with a stream; return its port. With a status, it answers every handshake with that."""

    def process(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.startswith("/clock/now"):
            at = time.time() * 1_000
            return connection.respond(HTTPStatus.OK, json.dumps({"at": at, "bound": 0.5, "synchronised": True}))
        return None if status is None else connection.respond(status, "")

    async with serve(handler, "127.0.0.1", 0, process_request=process, **options) as server:
        yield server.sockets[0].getsockname()[1]


@contextmanager
def ssh_server() -> Iterator[int]:
    """Run a server that answers with something else than HTTP or TLS; return its port."""

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(1)
                    client.recv(65_536)
                    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


# --- A real worker ---


async def test_a_good_stream(worker: Worker) -> None:
    """Of a real worker: lateness and bound are known, and nothing has happened. Figures are in test_timing.py."""
    limits = Limits(min_rate=1, max_gap=10_000, max_lateness=10_000, max_bound=10_000)
    record = Record()
    summary = await watch(f"http://{worker.host}/clock/?rate=50", viewers=3, limits=limits, display=record)
    assert summary.exit_code == 0, summary
    assert [verdict.holds for verdict in summary.verdicts] == [True] * 4
    assert summary.target.rate == "50"
    assert summary.total.lateness is not None
    assert summary.bound is not None
    assert summary.total.lateness.minimum >= -summary.bound - 0.1
    assert (len(summary.versions), summary.answers > 0) == (1, True)
    assert (summary.viewers, summary.connections, summary.reconnects, summary.connected) == (3, 3, 0, 3)
    assert record.updates
    assert record.events == []


async def test_another_origin_is_refused(worker: Worker) -> None:
    """With 403."""
    summary = await watch(f"http://{worker.host}", origin="https://evil.example")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.FORBIDDEN
    assert "--origin" in str(summary.failure)


# --- What fails before the first frame ---


async def test_a_name_that_cannot_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it."""

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    summary = await watch("http://clock.example")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.NAME
    assert "clock.example" in str(summary.failure)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nothing_listens(host: str) -> None:
    """Also if the name has several addresses."""
    summary = await watch(f"http://{host}:{free_port()}")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.REFUSED
    assert summary.failures == {"refused": 1}


async def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts connections and says nothing."""
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        summary = await watch(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.TIMEOUT


async def test_certificates(directory: Path) -> None:
    """One of an unknown authority is invalid; with the authority it is valid; without TLS there is none."""
    certificate = Certificate(directory, "watch")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    async with clock(send_frames, ssl=context) as port:
        address = f"https://127.0.0.1:{port}"
        invalid = await watch(address, tls=ssl.create_default_context())
        valid = await watch(address, tls=trusting)
    with ssh_server() as port:
        without = await watch(f"wss://127.0.0.1:{port}/ws/clock/", tls=trusting)
    assert invalid.failure is not None
    assert invalid.failure.kind is Kind.CERTIFICATE
    assert "--ca-file" in str(invalid.failure)
    assert (valid.exit_code, valid.answers > 0) == (0, True), valid
    assert without.failure is not None
    assert without.failure.kind is Kind.TLS


async def test_another_status() -> None:
    """Such as that of a balancer without a worker."""
    async with clock(send_frames, status=HTTPStatus.SERVICE_UNAVAILABLE) as port:
        summary = await watch(f"http://127.0.0.1:{port}")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.STATUS
    assert "503" in str(summary.failure)


async def test_not_a_web_server() -> None:
    """It answers with something else than HTTP."""
    with ssh_server() as port:
        summary = await watch(f"http://127.0.0.1:{port}")
    assert summary.failure is not None
    assert summary.failure.kind is Kind.NOT_A_CLOCK


async def greet(connection: ServerConnection) -> None:
    """Send what is no frame."""
    await connection.send("hello")
    await connection.wait_closed()


async def say_nothing(connection: ServerConnection) -> None:
    """Send nothing."""
    await connection.wait_closed()


def close_with(code: int) -> Handler:
    """Return a handler that closes each connection."""

    async def close(connection: ServerConnection) -> None:
        await connection.close(code, "why")

    return close


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (greet, Kind.NOT_A_CLOCK),
        (say_nothing, Kind.SILENT),
        (close_with(4008), Kind.BROKEN_CONTRACT),
        (close_with(4012), Kind.GOING_AWAY),
        (close_with(4013), Kind.FULL),
        (close_with(1011), Kind.CLOSED),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
async def test_a_stream_without_frames(handler: Handler, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reason has an exit code of its own."""
    monkeypatch.setattr(module, "SILENT_AFTER_S", 0.2)
    monkeypatch.setattr(module, "_PAUSES_S", {Kind.GOING_AWAY: 0.001})
    async with clock(handler) as port:
        summary = await watch(f"http://127.0.0.1:{port}")
    assert summary.failure is not None
    assert summary.failure.kind is kind
    assert summary.exit_code == kind.exit_code
