"""The receiver: what a worker takes over from a supervisor, and what it reports."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tournament.processes.link import DRAIN, Report, ReportReader, open_link, send_connection
from tournament.server.receiver import BATCH, UNDECIDED_S, Receiver


class FakeConnection:
    """A connection that is undecided until a test decides."""

    def __init__(self, adopted: socket.socket) -> None:
        self.socket = adopted
        self.is_undecided = True


class FakeWorker:
    """A worker that remembers what it was told."""

    def __init__(self) -> None:
        self.connections: list[FakeConnection] = []
        self.viewers = 0
        self.ready = True
        self.drains: list[bool] = []

    def adopt(self, connection: socket.socket) -> FakeConnection:
        """Keep a connection."""
        self.connections.append(FakeConnection(connection))
        return self.connections[-1]

    def viewer_count(self) -> int:
        """Return what the test says."""
        return self.viewers

    def is_ready(self) -> bool:
        """Return what the test says."""
        return self.ready

    def drain_for_supervisor(self, reason: str, *, expects_connections: bool) -> None:
        """Note it."""
        assert reason
        self.drains.append(expects_connections)


class Pair:
    """A receiver and a supervisor's end of its link, in virtual time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.near, self.far = open_link()
        self.worker = FakeWorker()
        self.receiver = Receiver(self.far, self.worker, now=lambda: self.time)
        self.reader = ReportReader(self.near)

    def send(self, count: int) -> None:
        """Send so many connections."""
        for _ in range(count):
            client, accepted = socket.socketpair()
            with client, accepted:
                send_connection(self.near, accepted)

    def report(self) -> Report | None:
        """Have the receiver report, and return the report."""
        self.receiver.report()
        return self.reader.read()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A receiver that runs."""
    pair = Pair()
    pair.receiver.start()
    yield pair
    if not pair.receiver.is_closed:
        asyncio.get_running_loop().remove_reader(pair.far.fileno())
    for connection in pair.worker.connections:
        connection.socket.close()
    pair.near.close()
    pair.far.close()


async def until(pair: Pair, count: int) -> None:
    """Wait until so many connections have arrived."""
    async with asyncio.timeout(5):
        while len(pair.worker.connections) < count:
            await asyncio.sleep(0)


async def test_it_takes_over_all_connections(pair: Pair) -> None:
    """And counts them."""
    pair.send(50)
    await until(pair, 50)
    assert pair.report() == Report(50, 50, is_ready=True, is_open=True)


async def test_it_takes_over_a_crowd_in_parts(pair: Pair) -> None:
    """Between two parts the loop runs, so that a tick does not wait."""
    pair.send(3 * BATCH)
    pair.receiver.receive()
    assert len(pair.worker.connections) == BATCH


async def test_connections_count_as_viewers_until_they_are_decided(pair: Pair) -> None:
    """A WebSocket is counted once, by the worker; a request of a page is not counted; nor one that stays silent."""
    pair.send(10)
    await until(pair, 10)
    for connection in pair.worker.connections[:7]:
        connection.is_undecided = False
    pair.worker.viewers = 4
    assert pair.report() == Report(4 + 3, 10, is_ready=True, is_open=True)
    pair.time += UNDECIDED_S + 0.1
    assert pair.report() == Report(4, 10, is_ready=True, is_open=True)


async def test_it_reports_whether_the_worker_is_ready(pair: Pair) -> None:
    """At each report."""
    pair.worker.ready = False
    assert pair.report() == Report(0, 0, is_ready=False, is_open=True)


async def test_a_request_to_drain(pair: Pair) -> None:
    """The worker drains as if it were alone: connections still arrive."""
    pair.near.send(DRAIN)
    pair.send(1)
    await until(pair, 1)
    assert pair.worker.drains == [True]
    assert not pair.receiver.is_closed


@pytest.mark.parametrize("how", ["replaced", "supervisor has ended"])
async def test_the_end_of_the_link(pair: Pair, how: str) -> None:
    """The worker drains without waiting for further connections, after it has received those that were sent."""
    pair.send(1)
    if how == "replaced":
        pair.near.shutdown(socket.SHUT_WR)
    else:
        pair.near.close()
    await until(pair, 1)
    await asyncio.sleep(0)
    pair.receiver.report()
    assert pair.worker.drains == [False]
    assert pair.receiver.is_closed
    assert not pair.receiver.is_idle, "a request may still come"
    pair.worker.connections[0].is_undecided = False
    assert pair.receiver.is_idle


async def test_a_worker_that_closes_still_receives(pair: Pair) -> None:
    """It says so at once, and what was sent meanwhile arrives. Then the supervisor ends the link."""
    pair.send(1)
    pair.receiver.close()
    assert pair.reader.read() == Report(0, 0, is_ready=True, is_open=False)
    await until(pair, 1)
    assert not pair.receiver.is_closed
