"""The worker as a client meets it: a real process and real sockets."""

import contextlib
import errno
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clock.contract import CLOSE_BROKEN_CONTRACT
from testbed.processes import ROOT, Broker, PlainWorker, Worker, wait_until
from testbed.viewers import connect as watch_from
from tournament.server import server
from tournament.server.server import with_backlog

HANDSHAKE = (
    b"GET /ws/clock/ HTTP/1.1\r\nHost: %(host)s\r\nOrigin: http://%(host)s\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def viewer(worker: Worker, path: str = "/ws/clock/") -> ClientConnection:
    """Open the stream from the page's own origin."""
    origin = f"http://{worker.host}"
    return connect(f"ws://{worker.host}{path}", origin=origin, compression=None, close_timeout=1)  # type: ignore[arg-type]


def closing(client: ClientConnection) -> ConnectionClosed:
    """Read until the worker closes, and return how it did."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.recv(timeout=5)
    return caught.value


def ask(worker: Worker, data: bytes) -> bytes:
    """Send bytes on a socket of its own and return all that comes back until the worker hangs up, or for 2 s."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=2) as client:
        answer = b""
        deadline = time.monotonic() + 2
        with contextlib.suppress(OSError):
            client.sendall(data)
            while (chunk := client.recv(65_536)) and time.monotonic() < deadline:
                answer += chunk
        return answer


def has_hung_up(client: socket.socket) -> bool:
    """Read a little, and return whether that was the end."""
    try:
        return not client.recv(65_536)
    except ConnectionError:
        return True


def flood(client: socket.socket, data: bytes) -> bytes:
    """Send, and read meanwhile as a browser does; return all that came before the worker hung up."""
    told, left = b"", memoryview(data)
    with contextlib.suppress(ConnectionError):  # it may hang up before all is sent
        while True:
            readable, writable, _ = select.select([client], [client] if left else [], [], 5)
            assert readable or writable, "the worker does not hang up"
            if not readable:
                left = left[client.send(left) :]
            elif chunk := client.recv(65_536):
                told += chunk
            else:
                break
    return told


def handshake(worker: Worker, more: bytes = b"") -> bytes:
    """Return a good handshake, with some more header lines."""
    return HANDSHAKE % {b"host": worker.host.encode()} + more + b"\r\n"


@pytest.fixture
def onlooker(worker: Worker) -> Iterator[None]:
    """A client that looks on while others misbehave, and must not notice."""
    with viewer(worker) as client:
        client.recv(timeout=5)
        yield
        assert client.recv(timeout=5).startswith('{"message": "')


def test_the_relay_starts_with_the_server(worker: Worker) -> None:
    """Before anybody asked for anything, the worker hears ticks."""
    assert "receiving ticks" in worker.output()


@pytest.mark.parametrize("rate", ["3", "ten"])
def test_the_reason_of_a_close_reaches_the_client(worker: Worker, rate: str) -> None:
    """Stock Daphne drops it."""
    with viewer(worker, f"/ws/clock/?rate={rate}") as client:
        close = closing(client).rcvd
    assert close is not None
    assert close.code == CLOSE_BROKEN_CONTRACT
    assert close.reason == "rate must be one of 100, 50, 25, 20, 10, 5, 2, 1"


@pytest.mark.usefixtures("onlooker")
@pytest.mark.parametrize(
    "message",
    [
        b"\x81\x81maskx",  # a text
        b"\x82\x81maskx",  # bytes
        struct.pack("!BBQ4s", 0x81, 0xFF, 100_000, b"mask") + b"x" * 100_000,
    ],
)
def test_a_client_that_sends_is_closed(worker: Worker, message: bytes) -> None:
    """Even if it sends a good deal more before it hears of it; and it can read why."""
    with watch_from(worker.port).socket as client:
        told = flood(client, message * 50)
    close = struct.pack("!H", CLOSE_BROKEN_CONTRACT) + b"clients must not send messages"
    assert told.endswith(bytes((0x88, len(close))) + close)


@pytest.mark.usefixtures("onlooker")
@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("!BBQ4s", 0x81, 0xFF, 1 << 40, b"mask"),  # a terabyte of text is announced
        b"\x01",  # a fragment, of which nothing more comes
        b"\x81\x01x",  # not masked
        b"\xff\xff\xff\xff",  # reserved bits
        b"\x83\x80mask",  # an unknown opcode
        b"\x89\xfe\xff\xffmask",  # a ping that is too long
        b"\x00\x80mask",  # the rest of a message that never began
        b"\x81\x82\0\0\0\0\xff\xfe",  # no UTF-8
        b"\x88\x82\0\0\0\0\x03\xe7",  # a close code that may not be sent
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_broken_frame_ends_the_connection(worker: Worker, frame: bytes) -> None:
    """That connection and no other."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
        client.sendall(handshake(worker))
        assert client.recv(65_536).startswith(b"HTTP/1.1 101 ")
        client.sendall(frame)
        wait_until(lambda: has_hung_up(client), "the worker hangs up", 5)


@pytest.mark.usefixtures("onlooker")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 400),  # nothing more
        (b"GET /ws/clock/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),  # no Host
        (b"POST /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 405),
        (b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost:x\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET /ws/\xe4/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET /clock/?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", None),  # TLS on a plain port
        (b"\0" * 1_000 + b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /clock/ HTTP/1.1\r\n\r\n", 400),  # no Host, wherever
        (b"GET /static/clock/clock.css HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
def test_a_malformed_request_is_refused(worker: Worker, data: bytes, status: int | None) -> None:
    """With a status where there is something to answer to."""
    answer = ask(worker, data)
    if status is not None:
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@pytest.mark.usefixtures("onlooker")
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
def test_odd_headers(worker: Worker, more: bytes, status: int | None) -> None:
    """A handshake with them is refused or served, and leaves no traceback."""
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
def test_who_may_not_come_in_gets_403(worker: Worker, path: str, origin: str | None) -> None:
    """And at most one line in the log."""
    lines = len(worker.output().splitlines())
    own = f"http://{worker.host}" if origin is None else origin or None
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://{worker.host}{path}", origin=own)  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403
    assert len(worker.output().splitlines()) <= lines + 1


def test_an_unknown_host(worker: Worker) -> None:
    """400, and at most one line in the log."""
    lines = len(worker.output().splitlines())
    assert worker.get("/clock/", Host="evil.example")[0] == 400
    assert len(worker.output().splitlines()) <= lines + 1


@pytest.mark.usefixtures("onlooker")
def test_random_bytes(worker: Worker) -> None:
    """300 connections of noise, half of them after a good handshake; the seed is kept."""
    random.seed(20261122)
    for number in range(300):
        noise = random.randbytes(random.randrange(1, 400))
        with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
            client.sendall((handshake(worker) if number % 2 else b"") + noise)
    assert worker.get("/healthz")[0] == 200


def test_clients_that_vanish_are_forgotten(broker: Broker, directory: Path) -> None:
    """A hundred that hang up without a word leave no open file behind."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0") as worker:
        worker.wait_for_ticks()
        files = Path(f"/proc/{worker.pid}/fd")
        before = len(list(files.iterdir()))
        clients = [watch_from(worker.port) for _ in range(100)]
        assert len(list(files.iterdir())) >= 100
        for client in clients:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            client.socket.close()
        wait_until(lambda: len(list(files.iterdir())) <= before, "the files are closed")
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def test_it_takes_a_crowd_at_once(worker: Worker) -> None:
    """300 dial before one of them is answered: more than Twisted's own backlog of 50, and none is turned away."""
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


def test_plain_daphne_serves_the_clock_too(broker: Broker, directory: Path) -> None:
    """Its relay starts with the first request; the frames are the same."""
    with PlainWorker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        with viewer(worker) as client:
            assert client.recv(timeout=5).startswith('{"message": "')
        assert worker.get("/static/clock/clock.js")[0] == 200
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


@pytest.mark.parametrize("clients", [0, 3])
def test_a_signal_ends_it(broker: Broker, directory: Path, clients: int) -> None:
    """SIGTERM: exit code 0 within seconds, no traceback, and nothing left in Redis."""
    with Worker(broker.url, directory, CLOCK_NAMESPACE="ends", CLOCK_DRAIN_NOTICE="0") as worker:
        viewers = [watch_from(worker.port) for _ in range(clients)]
        start = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - start < 10
        assert "Traceback" not in worker.output()
        for one in viewers:
            one.socket.close()


def test_a_port_that_is_taken(broker: Broker, directory: Path, worker: Worker) -> None:
    """It says so and ends with an exit code."""
    command = [sys.executable, "-m", "tournament.server", "-p", str(worker.port), "tournament.asgi:application"]
    done = subprocess.run(
        command, cwd=ROOT, env={"REDIS_URL": broker.url}, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_daphnes_command_line_is_all_there() -> None:
    """Every option that Daphne knows, the worker knows."""
    program = [sys.executable, "-m"]
    ours, theirs = (
        subprocess.run(
            [*program, name, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
        ).stdout
        for name in ("tournament.server", "daphne")
    )
    options = {word.strip(",[]") for word in theirs.split() if word.strip("[").startswith("-")}
    assert len(options) > 20
    assert options <= {word.strip(",[]") for word in ours.split()}


def test_the_backlog() -> None:
    """Fit for a crowd, unless the command line says otherwise or it makes no sense."""
    assert with_backlog("tcp:port=1:interface=x") == f"tcp:port=1:interface=x:backlog={server.BACKLOG}"
    assert with_backlog("tcp:port=1:backlog=7") == "tcp:port=1:backlog=7"
    assert with_backlog("unix:/tmp/x") == "unix:/tmp/x"


class Limit:
    """A limit on open files, on a system that refuses what is above its own bound."""

    def __init__(self, soft: int, hard: int, bound: int) -> None:
        self.soft, self.hard, self._bound = soft, hard, bound

    def getrlimit(self, _which: int) -> tuple[int, int]:
        """Return it."""
        return self.soft, self.hard

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        """Change it, or raise what Python raises."""
        soft, hard = limits
        assert hard == self.hard
        if soft == resource.RLIM_INFINITY or soft > self._bound:
            raise OSError(errno.EINVAL, "Invalid argument")
        if self.hard != resource.RLIM_INFINITY and soft > self.hard:
            raise ValueError("not allowed to raise maximum limit")
        self.soft = soft


@pytest.mark.parametrize(
    ("soft", "hard", "bound", "raised"),
    [
        (1_024, 1_048_576, 1 << 30, 1_048_576),
        (1_048_576, 1_048_576, 0, 1_048_576),
        (256, resource.RLIM_INFINITY, 10_240, 10_240),  # macOS
        (256, 12_288, 10_240, 10_240),
        (12_000, resource.RLIM_INFINITY, 12_288, 12_000),
        (256, 2_048, 512, 256),  # neither is to be had
        (256, resource.RLIM_INFINITY, 512, 256),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 0, resource.RLIM_INFINITY),
    ],
)
def test_a_limit_that_cannot_be_had_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, bound: int, raised: int
) -> None:
    """It is raised as far as it goes."""
    limit = Limit(soft, hard, bound)
    for name in ("getrlimit", "setrlimit"):
        monkeypatch.setattr(server.resource, name, getattr(limit, name))
    server.raise_open_file_limit()
    assert limit.soft == raised


def test_it_may_have_as_many_connections_as_the_system_allows(worker: Worker) -> None:
    """The soft limit on open files is raised to the hard one."""
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


def test_errors_that_twisted_catches_are_logged() -> None:
    """Daphne sends all that Twisted logs nowhere; its errors become lines of ours, with their traceback."""
    program = (
        "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tournament.settings'; django.setup()\n"
        "from tournament.server.server import log_twisted_errors\n"
        "from twisted.logger import globalLogBeginner\n"
        "from twisted.python import log\n"
        "globalLogBeginner.beginLoggingTo([lambda _: None], redirectStandardIO=False, discardBuffer=True)\n"
        "log_twisted_errors()\n"
        "log.msg('nothing of interest')\n"
        "log.err(ZeroDivisionError('of interest'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "CRITICAL twisted: Unhandled Error" in done.stderr
    assert "ZeroDivisionError: of interest" in done.stderr
    assert "nothing" not in done.stderr
