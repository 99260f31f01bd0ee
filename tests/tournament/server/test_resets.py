"""Connections that are reset before the worker has read from them: their descriptors are free again at once."""

import os
import signal
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.accounting import open_files
from testbed.attacks.stages import client_hello
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.redis_servers import Certificate
from tournament.up.broker import free_port

CONNECTIONS = 200

# Seconds within which a descriptor is free again.
DEADLINE = 2.0


class TlsWorker(Worker):
    """A worker that also listens for TLS."""

    def __init__(self, redis_url: str, directory: Path, **environment: str) -> None:
        super().__init__(redis_url, directory, **environment)
        self.tls_port = free_port()
        own = Certificate(directory, "resets")
        self.certificate = own.certificate
        endpoint = f"ssl:{self.tls_port}:privateKey={own.key}:certKey={own.certificate}:interface=127.0.0.1"
        self.command[-1:-1] = ["-e", endpoint]


@pytest.fixture(scope="module")
def victim(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[TlsWorker]:
    """A worker of this module's own: it is stopped and continued."""
    with TlsWorker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def request(worker: Worker, path: str, *headers: str) -> bytes:
    """Return a whole request."""
    return "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {worker.host}", *headers, "", "")).encode()


def handshake(worker: Worker) -> bytes:
    """Return a WebSocket handshake."""
    return request(
        worker,
        "/ws/clock/",
        f"Origin: http://{worker.host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )


def reset(port: int, data: bytes) -> None:
    """Connect, send, and close by a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(data)


def is_answered(worker: TlsWorker, *, tls: bool) -> bool:
    """Ask whether the worker is alive, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", worker.tls_port if tls else worker.port), timeout=10) as client:
        if not tls:
            return answer(client, worker)
        context = ssl.create_default_context(cafile=str(worker.certificate))
        with context.wrap_socket(client, server_hostname="127.0.0.1") as encrypted:
            return answer(encrypted, worker)


def answer(client: socket.socket, worker: Worker) -> bool:
    """Return whether a request on this connection is answered well."""
    client.sendall(request(worker, "/healthz", "Connection: close"))
    return client.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["partial request", "TLS hello", "TLS hello to HTTP", "page", "WebSocket handshake"])
def test_reset_before_the_worker_reads(victim: TlsWorker, kind: str) -> None:
    """The worker stands still meanwhile, so it finds data and the reset together."""
    data = {
        "partial request": b"GET / HT",
        "TLS hello": client_hello(),
        "TLS hello to HTTP": client_hello(),
        "page": request(victim, "/clock/"),
        "WebSocket handshake": handshake(victim),
    }[kind]
    tls = kind == "TLS hello"
    port = victim.tls_port if tls else victim.port
    assert is_answered(victim, tls=tls)
    before = open_files(victim.pid)
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        for _ in range(CONNECTIONS):
            reset(port, data)
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    # It takes connections in their order: once this is answered, it has taken all that came to this port before.
    assert is_answered(victim, tls=tls)
    wait_until(
        lambda: open_files(victim.pid) <= before,
        f"as few descriptors are open as before ({before})",
        DEADLINE,
    )


def test_the_count_sees_a_leak() -> None:
    """The count of descriptors is what the tests above stand on."""
    before = open_files(os.getpid())
    with socket.socket():
        assert open_files(os.getpid()) == before + 1
    assert open_files(os.getpid()) == before
