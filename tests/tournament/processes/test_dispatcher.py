"""The dispatcher, with real connections and workers that a test plays."""

import argparse
import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from tests.tournament.processes.fake_process import FakeWorkers
from tournament.processes.child import Child
from tournament.processes.dispatcher import BATCH, Dispatcher
from tournament.processes.listening import Listeners

LOOPBACK = argparse.Namespace(host="127.0.0.1", port=0, unix_socket=None, file_descriptor=None)


class Hall:
    """A dispatcher, two children, and clients."""

    def __init__(self) -> None:
        self.workers = FakeWorkers()
        self.children = [Child(number, self.workers.start) for number in (1, 2)]
        self.listeners = Listeners(LOOPBACK)
        self.address = self.listeners.sockets[0].getsockname()
        self.dispatcher = Dispatcher(self.listeners, lambda: self.children)
        self.clients: list[socket.socket] = []

    def connect(self, count: int) -> None:
        """Connect so many clients."""
        self.clients += [socket.create_connection(self.address, timeout=5) for _ in range(count)]

    def report(self, *, is_ready: bool = True) -> None:
        """Have all workers report."""
        for process in self.workers.started:
            process.report(is_ready=is_ready)
        for child in self.children:
            child.check()

    def received(self) -> list[int]:
        """Return how many connections each worker has received."""
        for process in self.workers.started:
            process.receive()
        return [len(process.connections) for process in self.workers.started]

    async def received_in_all(self, count: int) -> list[int]:
        """Wait until so many connections were received, and return how many by each worker."""
        async with asyncio.timeout(10):
            while sum(self.received()) < count:
                self.dispatcher.start()  # as the supervisor does regularly
                await asyncio.sleep(0.001)
        return self.received()

    def close(self) -> None:
        """Close everything."""
        for client in self.clients:
            client.close()
        for child in self.children:
            child.close()
        self.workers.close()
        self.listeners.close()


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Two workers that have reported."""
    hall = Hall()
    hall.report()
    yield hall
    hall.close()


async def test_connections_go_to_the_workers_in_turn(hall: Hall) -> None:
    """Each is open, with the client's own address."""
    hall.dispatcher.start()
    hall.connect(10)
    assert await hall.received_in_all(10) == [5, 5]
    peers = {one.getpeername() for process in hall.workers.started for one in process.connections}
    assert peers == {client.getsockname() for client in hall.clients}
    hall.dispatcher.close()


async def test_connections_wait_for_a_worker(hall: Hall) -> None:
    """While no worker takes connections they wait in the kernel, and none is refused."""
    for child in hall.children:
        child.standing.is_retired = True
    hall.dispatcher.start()
    hall.connect(5)
    await asyncio.sleep(0.05)
    assert hall.received() == [0, 0]
    hall.children[1].standing.is_retired = False
    hall.dispatcher.start()
    assert await hall.received_in_all(5) == [0, 5]
    hall.dispatcher.close()


async def test_a_crowd_that_no_link_can_hold_waits(hall: Hall) -> None:
    """Workers that do not receive for a moment get all connections in the end. None is lost."""
    hall.dispatcher.start()
    hall.connect(900)
    await asyncio.sleep(0.1)
    assert sum(child.standing.sent for child in hall.children) < 900, "links hold some hundred"
    assert len(hall.dispatcher._waiting) == 1, "the others wait in the kernel"
    assert sum(await hall.received_in_all(900)) == 900
    hall.dispatcher.close()


async def test_a_flood_is_accepted_in_parts(hall: Hall) -> None:
    """So the supervisor also hears its workers and its signals meanwhile."""
    hall.connect(3 * BATCH)
    hall.dispatcher.start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert 0 < sum(hall.received()) <= 2 * BATCH
    hall.dispatcher.close()


async def test_connections_that_were_taken_back_come_first(hall: Hall) -> None:
    """They have waited longest."""
    client, accepted = socket.socketpair()
    with client:
        hall.dispatcher.keep([accepted])
        hall.dispatcher.start()
        assert sum(await hall.received_in_all(1)) == 1
        client.sendall(b"hello")
        (connection,) = [one for process in hall.workers.started for one in process.connections]
        assert connection.recv(5) == b"hello"
    hall.dispatcher.close()


async def test_after_the_end_nothing_listens(hall: Hall) -> None:
    """And what waits for a worker is closed."""
    client, accepted = socket.socketpair()
    hall.dispatcher.start()
    hall.dispatcher.close()
    hall.dispatcher.start()
    with client, pytest.raises(ConnectionRefusedError):
        hall.dispatcher.keep([accepted])
        assert client.recv(1) == b""
        hall.connect(1)


async def test_without_descriptors_it_pauses(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    """It logs that once, does not spin, and goes on when it is told to start again."""
    caplog.set_level("INFO", logger="tournament")
    listener = hall.listeners.sockets[0]
    failing = Mock(wraps=listener, accept=Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
    failing.fileno = listener.fileno
    hall.listeners.sockets[0] = failing
    hall.connect(1)
    for _ in range(20):
        hall.dispatcher.start()
        await asyncio.sleep(0.01)
    assert failing.accept.call_count <= 20
    assert 1 <= caplog.text.count("Too many open files") <= 10
    failing.accept = listener.accept
    hall.dispatcher.start()
    assert sum(await hall.received_in_all(1)) == 1
    hall.dispatcher.close()
