"""However a client ends its connection, the worker's descriptor is free again soon."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.accounting import open_files
from testbed.attacks.stages import client_hello
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.redis_servers import Certificate
from testbed.viewers import CLOSE_1000, PING, handshake, reset_on_close, upgrade_request
from tournament.server.adapter.direct_socket import UNSENT_LIMIT_BYTES
from tournament.up.broker import free_port

CONNECTIONS = 200

# Seconds within which a descriptor is free again: after a reset; and after a close frame, which may be answered within
# a second.
DEADLINE_S = 2.0
CLOSE_DEADLINE_S = 3.0


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
    """A worker of this module's own, which is stopped and continued. It answers any number of pings."""
    settings = {"CLOCK_MAX_CONTROL_FRAMES": "0", "CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "0"}
    with TlsWorker(broker.url, directory, **settings) as worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def request(worker: Worker, path: str, *headers: str) -> bytes:
    """Return a complete request."""
    return "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {worker.host}", *headers, "", "")).encode()


def fewest_open_files(pid: int) -> int:
    """Return the lowest count of the next second: connections of earlier tests end in it."""
    deadline = time.monotonic() + 1
    counts = [open_files(pid)]
    while time.monotonic() < deadline:
        time.sleep(0.1)
        counts.append(open_files(pid))
    return min(counts)


def reset(port: int, data: bytes) -> None:
    """Connect, send, and close by a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        reset_on_close(client)
        client.sendall(data)


def is_answered(worker: TlsWorker, *, tls: bool) -> bool:
    """Return whether the worker answers on a new connection."""
    with socket.create_connection(("127.0.0.1", worker.tls_port if tls else worker.port), timeout=10) as client:
        if not tls:
            return answer(client, worker)
        context = ssl.create_default_context(cafile=str(worker.certificate))
        with context.wrap_socket(client, server_hostname="127.0.0.1") as encrypted:
            return answer(encrypted, worker)


def answer(client: socket.socket, worker: Worker) -> bool:
    """Return whether a request on this connection gets 200."""
    client.sendall(request(worker, "/healthz", "Connection: close"))
    return client.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["partial request", "TLS hello", "TLS hello to HTTP", "page", "WebSocket handshake"])
def test_a_reset_before_the_worker_reads_frees_the_descriptor(victim: TlsWorker, kind: str) -> None:
    """The worker is stopped meanwhile, so it finds data and the reset together: uvloop stops watching then."""
    data = {
        "partial request": b"GET / HT",
        "TLS hello": client_hello(),
        "TLS hello to HTTP": client_hello(),
        "page": request(victim, "/clock/"),
        "WebSocket handshake": upgrade_request(victim.port),
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
    # Connections are accepted in order: when this one is answered, all before it on this port have been accepted.
    assert is_answered(victim, tls=tls)
    wait_until(
        lambda: open_files(victim.pid) <= before,
        f"no more descriptors are open than before ({before})",
        DEADLINE_S,
    )


def test_the_count_of_descriptors_shows_a_leak() -> None:
    """An open socket counts, and a closed one does not."""
    before = open_files(os.getpid())
    with socket.socket():
        assert open_files(os.getpid()) == before + 1
    assert open_files(os.getpid()) == before


# --- Clients that send a close frame, and then nothing more ---


def test_a_client_that_does_not_close_tls_is_disconnected(victim: TlsWorker) -> None:
    """The worker waits for the client's close of the TLS connection, but not forever."""
    before = open_files(victim.pid)
    context = ssl.create_default_context(cafile=str(victim.certificate))
    with (
        socket.create_connection(("127.0.0.1", victim.tls_port), timeout=5) as client,
        context.wrap_socket(client, server_hostname="127.0.0.1") as encrypted,
    ):
        handshake(encrypted, victim.tls_port, "/ws/clock/")
        encrypted.sendall(CLOSE_1000)
        wait_until(lambda: open_files(victim.pid) <= before, "the descriptor is free", CLOSE_DEADLINE_S)


def test_a_client_that_does_not_read_the_answer_is_disconnected(victim: TlsWorker) -> None:
    """More is queued before the close frame than the client's kernel accepts."""
    before = fewest_open_files(victim.pid)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", victim.port))
        handshake(client, victim.port, "/ws/clock/")
        ping = bytes((PING, 0xFD, 0, 0, 0, 0)) + bytes(125)
        for _ in range(3 * UNSENT_LIMIT_BYTES // len(ping)):
            client.sendall(ping)
        client.sendall(CLOSE_1000)
        time.sleep(0.1)
        assert open_files(victim.pid) == before + 1
        wait_until(lambda: open_files(victim.pid) <= before, "the descriptor is free", CLOSE_DEADLINE_S)
