"""A client that says that it closes, and then does nothing more: its connection ends all the same."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.accounting import open_files
from testbed.processes import Broker, Ticker, wait_until
from testbed.viewers import PING, handshake
from tests.tournament.server.test_resets import TlsWorker
from tournament.server.connection import UNSENT_LIMIT

CLOSE = bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8))  # 1000, masked by zeros

# Seconds: what a client has for the close handshake, and what a busy machine adds.
DEADLINE = 3.0


@pytest.fixture(scope="module")
def worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[TlsWorker]:
    """A worker that answers any number of pings."""
    with TlsWorker(broker.url, directory, CLOCK_MAX_CONTROL_FRAMES="0") as worker:
        worker.wait_for_ticks()
        yield worker
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()


def test_a_client_that_does_not_end_its_side_of_tls(worker: TlsWorker) -> None:
    """The worker waits for TLS's own close from the client, but not for ever."""
    before = open_files(worker.pid)
    context = ssl.create_default_context(cafile=str(worker.certificate))
    with (
        socket.create_connection(("127.0.0.1", worker.tls_port), timeout=5) as client,
        context.wrap_socket(client, server_hostname="127.0.0.1") as encrypted,
    ):
        handshake(encrypted, worker.tls_port, "/ws/clock/")
        encrypted.sendall(CLOSE)
        wait_until(lambda: open_files(worker.pid) <= before, "the descriptor is free", DEADLINE)


def test_a_client_that_does_not_read_the_answer(worker: TlsWorker) -> None:
    """What is queued before the close frame is more than its kernel takes."""
    before = open_files(worker.pid)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", worker.port))
        handshake(client, worker.port, "/ws/clock/")
        ping = bytes((PING, 0xFD, 0, 0, 0, 0)) + bytes(125)
        for _ in range(3 * UNSENT_LIMIT // len(ping)):
            client.sendall(ping)
        client.sendall(CLOSE)
        time.sleep(0.1)
        assert open_files(worker.pid) == before + 1
        wait_until(lambda: open_files(worker.pid) <= before, "the descriptor is free", DEADLINE)
