"""The worker as a client meets it: a real process and real sockets."""

import contextlib
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from daphne.cli import CommandLineInterface
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from clock.contract import CLOSE_BROKEN_CONTRACT
from testbed.accounting import open_files
from testbed.processes import ROOT, Broker, PlainWorker, Ticker, Worker, accepts_connections, wait_until
from testbed.viewers import Viewer, reset_on_close, watch
from testbed.viewers import connect as connect_viewer
from tournament.processes.listening import BACKLOG
from tournament.server import command_line
from tournament.server.server import with_backlog
from tournament.up.broker import free_port

HANDSHAKE = (
    b"GET /ws/clock/ HTTP/1.1\r\nHost: %(host)s\r\nOrigin: http://%(host)s\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def viewer(worker: Worker, path: str = "/ws/clock/") -> ClientConnection:
    """Open the stream from the page's own origin."""
    return connect(
        f"ws://{worker.host}{path}", origin=Origin(f"http://{worker.host}"), compression=None, close_timeout=1
    )


def closing(client: ClientConnection) -> ConnectionClosed:
    """Read until the worker closes, and return how it did."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.recv(timeout=5)
    return caught.value


def ask(worker: Worker, data: bytes) -> bytes:
    """Send bytes on a new connection and return everything the worker answers until it closes, or for 2 s."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=2) as client:
        answer = b""
        deadline = time.monotonic() + 2
        with contextlib.suppress(OSError):
            client.sendall(data)
            while (chunk := client.recv(65_536)) and time.monotonic() < deadline:
                answer += chunk
        return answer


def is_closed(client: socket.socket) -> bool:
    """Read a little, and return whether the worker has closed the connection."""
    try:
        return not client.recv(65_536)
    except ConnectionError:
        return True


def flood(client: socket.socket, data: bytes) -> bytes:
    """Send, and read meanwhile as a browser does; return everything received before the worker closed."""
    received, left = b"", memoryview(data)
    with contextlib.suppress(ConnectionError):  # it may close before everything is sent
        while True:
            readable, writable, _ = select.select([client], [client] if left else [], [], 5)
            assert readable or writable, "the worker does not close"
            if not readable:
                left = left[client.send(left) :]
            elif chunk := client.recv(65_536):
                received += chunk
            else:
                break
    return received


def handshake(worker: Worker, more: bytes = b"") -> bytes:
    """Return a valid handshake, with some more header lines."""
    return HANDSHAKE % {b"host": worker.host.encode()} + more + b"\r\n"


def receives_frames(viewer: Viewer) -> bool:
    """Return whether a viewer receives a frame within the next 20 ms."""
    before = len(viewer.times)
    watch([viewer], 0.02)
    return len(viewer.times) > before


@pytest.fixture
def bystander(worker: Worker) -> Iterator[None]:
    """A viewer that is connected while other clients misbehave, and goes on to receive ticks."""
    client = connect_viewer(worker.port)
    with client.socket:
        yield
        watch([client], 0.02)
        wait_until(partial(receives_frames, client), "the bystander receives ticks", 5)


def test_the_relay_starts_with_the_server(worker: Worker) -> None:
    """The worker receives ticks before any client has connected."""
    assert "receiving ticks" in worker.output()


@pytest.mark.parametrize("rate", ["3", "ten"])
def test_the_reason_of_a_close_reaches_the_client(worker: Worker, rate: str) -> None:
    """A client that is closed can read why. Daphne itself sends no reason."""
    with viewer(worker, f"/ws/clock/?rate={rate}") as client:
        close = closing(client).rcvd
    assert close is not None
    assert close.code == CLOSE_BROKEN_CONTRACT
    assert close.reason == "rate must be one of auto, 100, 50, 25, 20, 10, 5, 2, 1"


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "message",
    [
        b"\x81\x81maskx",  # a text
        b"\x82\x81maskx",  # bytes
        struct.pack("!BBQ4s", 0x81, 0xFF, 100_000, b"mask") + b"x" * 100_000,
    ],
)
def test_a_client_that_sends_is_closed(worker: Worker, message: bytes) -> None:
    """A client that sends a message is closed with 4008 and a reason, even if it sends much more before it reads it."""
    with connect_viewer(worker.port).socket as client:
        received = flood(client, message * 50)
    close = struct.pack("!H", CLOSE_BROKEN_CONTRACT) + b"clients must not send messages"
    assert received.endswith(bytes((0x88, len(close))) + close)


# Frames that break the protocol.
BROKEN_FRAMES = [
    struct.pack("!BBQ4s", 0x81, 0xFF, 1 << 40, b"mask"),  # a terabyte of text is announced
    b"\x01",  # a fragment without an end
    b"\x81\x01x",  # not masked
    b"\xff\xff\xff\xff",  # reserved bits
    b"\x83\x80mask",  # an unknown opcode
    b"\x89\xfe\xff\xffmask",  # a ping that is too long
    b"\x00\x80mask",  # the rest of a message that never began
    b"\x81\x82\0\0\0\0\xff\xfe",  # no UTF-8
    b"\x88\x82\0\0\0\0\x03\xe7",  # a close code that may not be sent
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.mark.usefixtures("bystander")
def test_a_broken_frame_ends_the_connection(worker: Worker) -> None:
    """A frame that breaks the protocol ends its own connection and no other."""
    with ExitStack() as stack:
        clients = {}
        for frame in BROKEN_FRAMES:
            client = clients[frame] = stack.enter_context(socket.create_connection(("127.0.0.1", worker.port), 5))
            client.sendall(handshake(worker))
            assert client.recv(65_536).startswith(b"HTTP/1.1 101 ")
            client.sendall(frame)
        for frame, client in clients.items():
            wait_until(partial(is_closed, client), f"the worker closes after {frame!r}", 5)


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 400),  # no more headers
        (b"GET /ws/clock/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),  # no Host
        (b"POST /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 405),
        (b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost:x\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET /ws/\xe4/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET /clock/?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", None),  # TLS on a plain port
        (b"\0" * 1_000 + b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /clock/ HTTP/1.1\r\n\r\n", 400),  # no Host, on any path
        (b"GET /static/clock/clock.css HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
def test_a_malformed_request_is_refused(worker: Worker, data: bytes, status: int | None) -> None:
    """A request that is not valid HTTP gets a 4xx status; what is not HTTP at all may get none."""
    answer = ask(worker, data)
    if status is not None:
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"Sec-WebSocket-Protocol: \xc3\xa9\r\n", 400),  # stock Daphne logs a traceback
        (b"Sec-WebSocket-Protocol: chat\r\n", 101),
        (b"Sec-WebSocket-Protocol: a, a\r\n", 400),
        (b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff\r\n", 400),
        (b"Cookie: \xff\xfe\xfd\r\n", 101),
        (b"X-\xff: 1\r\n", 400),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
        (b"Sec-WebSocket-Version: 8\r\n", 400),
        (b"Origin: http://evil.example\r\n", 400),
        (b"Host: evil.example\r\n", 400),
        (b"Daphne-Root-Path: /elsewhere\r\n", 101),
        (b"X-Long: " + b"x" * 100_000 + b"\r\n", None),
    ],
)
def test_unusual_headers(worker: Worker, more: bytes, status: int | None) -> None:
    """A handshake with unusual headers is refused or accepted, and never causes a traceback."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
        client.sendall(handshake(worker, more))
        try:
            answer = client.recv(65_536)
        except ConnectionError:
            answer = b""
    if status is not None:
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@pytest.mark.parametrize(
    ("path", "origin"),
    [("/ws/", None), ("/ws/clock/", "http://evil.example"), ("/ws/clock/", "null"), ("/ws/clock/", "")],
)
def test_a_stream_that_is_not_allowed_gets_403(worker: Worker, path: str, origin: str | None) -> None:
    """An unknown path or a foreign origin gets 403, and logs at most one line."""
    lines = len(worker.output().splitlines())
    own = f"http://{worker.host}" if origin is None else origin
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://{worker.host}{path}", origin=Origin(own) if own else None)
    assert caught.value.response.status_code == 403
    assert len(worker.output().splitlines()) <= lines + 1


def test_an_unknown_host_gets_400(worker: Worker) -> None:
    """A Host that is not allowed gets 400, and logs at most one line."""
    lines = len(worker.output().splitlines())
    assert worker.get("/clock/", Host="evil.example")[0] == 400
    assert len(worker.output().splitlines()) <= lines + 1


@pytest.mark.usefixtures("bystander")
def test_random_bytes_harm_nobody(worker: Worker) -> None:
    """300 connections send random bytes, half of them after a valid handshake; the seed is fixed."""
    random.seed(20261122)
    for number in range(300):
        noise = random.randbytes(random.randrange(1, 400))
        with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
            client.sendall((handshake(worker) if number % 2 else b"") + noise)
    assert worker.get("/healthz")[0] == 200


def test_clients_that_reset_leave_no_open_file(worker: Worker) -> None:
    """The worker closes its end of a hundred viewers that reset their connections."""
    clients = [connect_viewer(worker.port) for _ in range(100)]
    assert open_files(worker.pid) > 100
    for client in clients:
        reset_on_close(client.socket)
        client.socket.close()
    wait_until(lambda: open_files(worker.pid) < 60, "the files are closed: an idle worker has about 30")


def test_a_crowd_can_connect_at_once(worker: Worker) -> None:
    """300 clients connect before one of them is answered, more than Twisted's backlog of 50, and none is refused."""
    clients = []
    for _ in range(300):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", worker.port))
        clients.append(client)
    for client in clients:
        client.settimeout(20)
        client.sendall(handshake(worker))
    for client in clients:
        assert client.recv(65_536).startswith(b"HTTP/1.1 101 ")
        client.close()


def test_plain_daphne_serves_the_clock_too(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Under `daphne` the relay starts with the first request, the frames are the same, and there are no metrics."""
    assert ticker.running
    port = free_port()
    with PlainWorker(broker.url, directory, CLOCK_METRICS_PORT=str(port)) as worker:
        worker.wait_for_ticks()
        client = connect_viewer(worker.port)
        wait_until(partial(receives_frames, client), "frames arrive", 5)
        client.socket.close()
        assert worker.get("/static/clock/clock.js")[0] == 200
        assert worker.get("/metrics")[0] == 404
        assert not accepts_connections(port)
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def test_a_port_in_use_ends_the_worker(broker: Broker, worker: Worker) -> None:
    """The worker exits with 1, and logs that the port is in use."""
    command = [sys.executable, "-m", "tournament.server", "-p", str(worker.port), "tournament.asgi:application"]
    done = subprocess.run(
        command, cwd=ROOT, env={"REDIS_URL": broker.url}, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_worker_has_all_of_daphnes_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every option of `daphne` is an option of the worker."""
    monkeypatch.setattr(sys, "argv", ["worker", "--help"])
    with pytest.raises(SystemExit, match="0"):
        command_line.main()
    ours, theirs = capsys.readouterr().out, CommandLineInterface().parser.format_help()
    options = {word.strip(",[]") for word in theirs.split() if word.strip("[").startswith("-")}
    assert len(options) > 20
    assert options <= {word.strip(",[]") for word in ours.split()}


def test_the_backlog_is_for_a_crowd() -> None:
    """A TCP endpoint gets the worker's backlog, unless it has one; other endpoints have none."""
    assert with_backlog("tcp:port=1:interface=x") == f"tcp:port=1:interface=x:backlog={BACKLOG}"
    assert with_backlog("tcp:port=1:backlog=7") == "tcp:port=1:backlog=7"
    assert with_backlog("unix:/tmp/x") == "unix:/tmp/x"


def test_the_limit_on_open_files_is_raised(worker: Worker) -> None:
    """A worker may have as many connections as the system allows: the soft limit is the hard one."""
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
