"""The drain: its phases in virtual time; then a real worker, as its viewers see it."""

import contextlib
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from clock.contract import CLOSE_GOING_AWAY
from testbed.processes import Broker, Ticker, Worker, accepts_connections, wait_until
from testbed.viewers import connect as connect_viewer
from tournament.processes.link import open_link
from tournament.server.drain import CHECK_INTERVAL_S, HURRIED_SPREAD_S, STRAGGLER_TIMEOUT_S, Drain
from tournament.server.server import SETTLING_S, Server
from tournament.up.broker import free_port

# --- In virtual time ---


class Viewer:
    """A viewer that remembers when it was sent away. It closes its end at once, or never."""

    def __init__(self, worker: "FakeWorker", *, goes: bool = True) -> None:
        self.worker = worker
        self.goes = goes
        self.sent_away: list[float] = []

    def send_away(self) -> None:
        """Close."""
        self.sent_away.append(self.worker.time)
        self.worker.crowd.remove(self)
        if not self.goes:
            self.worker.lingering += 1


class FakeWorker:
    """A worker whose time passes only while its drain sleeps."""

    def __init__(self, viewers: int = 0) -> None:
        self.time = 0.0
        self.crowd: list[Viewer] = [Viewer(self) for _ in range(viewers)]
        self.lingering = 0  # connections and requests that do not end
        self.stopped_listening: list[float] = []
        self.events: list[tuple[float, object]] = []

    def stop_listening(self) -> None:
        """Note the time."""
        self.stopped_listening.append(self.time)

    def viewers(self) -> list[Viewer]:
        """Return the viewers that are open."""
        return self.crowd

    def is_idle(self) -> bool:
        """Return whether everything is closed."""
        return not self.crowd and not self.lingering

    async def sleep(self, seconds: float) -> None:
        """Move the time, and run the events that are due."""
        self.time += seconds
        while self.events and self.events[0][0] <= self.time:
            event = self.events.pop(0)[1]
            assert callable(event)
            event()

    def drain(self, notice: float, spread: float) -> Drain:
        """Return a drain of this worker."""
        return Drain(self, notice, spread, now=lambda: self.time, sleep=self.sleep)


async def test_the_phases_of_a_drain() -> None:
    """Notice; then no more connections; then the viewers one by one, evenly spread: of five over 5 s one a second."""
    worker = FakeWorker(5)
    viewers = list(worker.crowd)
    await worker.drain(3, 5).run()
    assert worker.stopped_listening == [pytest.approx(3)]
    assert sorted(viewer.sent_away for viewer in viewers) == [[pytest.approx(at)] for at in (3, 4, 5, 6, 7)]
    assert worker.time == pytest.approx(7), "when the last is closed there is nothing to wait for"


async def test_a_crowd_is_spread_evenly() -> None:
    """Of 1,000 viewers over 5 s, 20 are sent away in each tenth of a second, give or take one."""
    worker = FakeWorker(1_000)
    viewers = list(worker.crowd)
    await worker.drain(0, 5).run()
    by_tenth = [0] * 50
    for viewer in viewers:
        by_tenth[int(viewer.sent_away[0] * 10 + 1e-6)] += 1
    assert max(by_tenth) - min(by_tenth) <= 2


async def test_a_drain_without_viewers_keeps_the_notice() -> None:
    """A load balancer may still send viewers; after the notice the drain ends."""
    worker = FakeWorker()
    await worker.drain(3, 5).run()
    assert worker.stopped_listening == [pytest.approx(3)]
    assert worker.time == pytest.approx(3)


async def test_a_drain_waits_briefly_for_stragglers() -> None:
    """Viewers that do not close and requests that do not end delay the drain by `STRAGGLER_TIMEOUT_S`, not longer."""
    worker = FakeWorker(1)
    worker.crowd[0].goes = False
    await worker.drain(1, 0).run()
    assert worker.time == pytest.approx(1 + STRAGGLER_TIMEOUT_S, abs=2 * CHECK_INTERVAL_S)


async def test_viewers_that_open_during_a_drain_are_sent_away_too() -> None:
    """Those of the notice with the others, and those that open later, on a connection from before, at the end."""
    worker = FakeWorker(2)
    early, late = Viewer(worker), Viewer(worker)
    worker.events = [(1, lambda: worker.crowd.append(early)), (5, lambda: worker.crowd.append(late))]
    await worker.drain(3, 3).run()
    assert 3 <= early.sent_away[0] < 6
    assert late.sent_away == [pytest.approx(5, abs=0.1)]
    assert worker.is_idle()


@pytest.mark.parametrize(
    ("at", "listens_until", "ends_by"),
    [(0, 0, HURRIED_SPREAD_S), (1, 1, 1 + HURRIED_SPREAD_S), (6, 3, 6 + HURRIED_SPREAD_S), (7.9, 3, 8)],
)
async def test_a_hurried_drain(at: float, listens_until: float, ends_by: float) -> None:
    """It ends the notice at once and shortens the spread, whenever it is hurried: before, during or near the end."""
    worker = FakeWorker(100)
    viewers = list(worker.crowd)
    drain = worker.drain(3, 5)
    if at:
        worker.events = [(at, drain.hurry)]
    else:
        drain.hurry()
    await drain.run()
    assert worker.stopped_listening == [pytest.approx(listens_until, abs=2 * CHECK_INTERVAL_S)]
    assert worker.time == pytest.approx(ends_by, abs=3 * CHECK_INTERVAL_S)
    last = sorted(viewer.sent_away[0] for viewer in viewers)[-10:]
    assert last[-1] - last[0] > 0.02, "still not all at once"


async def test_another_notice() -> None:
    """A worker that is replaced has one of its own."""
    worker = FakeWorker()
    drain = worker.drain(60, 5)
    drain.set_notice(1)
    await drain.run()
    assert worker.stopped_listening == [pytest.approx(1)]


async def test_a_hurry_never_prolongs_a_drain() -> None:
    """A spread of a tenth of a second stays one."""
    worker = FakeWorker(10)
    drain = worker.drain(0, 0.1)
    drain.hurry()
    await drain.run()
    assert worker.time <= 0.1 + CHECK_INTERVAL_S


# --- A real worker ---


class Leaver(Thread):
    """A client that receives frames until it is closed, and remembers how and when."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(daemon=True)
        self.host = worker.host
        self.is_open = Event()
        self.received: list[float] = []
        self.closed_at = 0.0
        self.code = 0
        self.reason = ""
        self.start()
        assert self.is_open.wait(10)

    def run(self) -> None:
        """Receive."""
        origin: Any = f"http://{self.host}"
        with connect(f"ws://{self.host}/ws/clock/?rate=10", origin=origin, compression=None) as client:
            self.is_open.set()
            try:
                while True:
                    client.recv()
                    self.received.append(time.monotonic())
            except ConnectionClosed as closed:
                self.closed_at = time.monotonic()
                if closed.rcvd is not None:
                    self.code, self.reason = closed.rcvd.code, closed.rcvd.reason


def test_a_drain_sends_viewers_away_one_by_one(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """SIGTERM: the worker is not ready but still serves for 2 s, then accepts no connections, then closes viewers.

    They are closed with 4012, spread over 1 s, and receive ticks until then. The metrics port answers to the end. The
    exit code is 0.
    """
    metrics_port = free_port()
    settings = {"CLOCK_DRAIN_NOTICE": "2", "CLOCK_DRAIN_SPREAD": "1", "CLOCK_METRICS_PORT": str(metrics_port)}
    with Worker(broker.url, directory, **settings) as worker:
        worker.wait_for_ticks()
        assert worker.get("/readyz") == (200, '{"ready": true, "reasons": []}')
        leavers = [Leaver(worker) for _ in range(20)]
        start = time.monotonic()
        worker.signal(signal.SIGTERM)
        wait_until(lambda: worker.get("/readyz")[0] == 503, "it is not ready", 1.5)
        assert worker.get("/readyz")[1] == '{"ready": false, "reasons": ["draining"]}'
        assert worker.get("/healthz")[0] == 200
        assert worker.get("/clock/now")[0] == 200
        leavers.append(Leaver(worker))  # sent by a load balancer that has not noticed yet
        wait_until(lambda: not accepts_connections(worker.port), "it accepts no connections", 10)
        assert time.monotonic() - start >= 2
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as metrics:
            assert "clock_draining 1.0" in metrics.read().decode()
        assert worker.wait() == 0
        for leaver in leavers:
            leaver.join(5)
        assert {(leaver.code, leaver.reason) for leaver in leavers} == {(CLOSE_GOING_AWAY, "the worker is going away")}
        closed = sorted(leaver.closed_at - start for leaver in leavers)
        assert closed[0] >= 2
        assert 0.7 < closed[-1] - closed[0] < 3
        assert len({int(at * 10) for at in closed}) >= 5, "spread, and not in one or two groups"
        assert all(leaver.closed_at - leaver.received[-1] < 1 for leaver in leavers), "ticks to the end"
        assert not accepts_connections(metrics_port)
        assert "Traceback" not in worker.output()
        assert worker.output().count("draining") == 1


def test_a_second_signal_hurries_the_drain(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """However many signals arrive: no notice, a short spread, 4012 to each viewer, and exit code 0."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="60", CLOCK_DRAIN_SPREAD="60") as worker:
        leavers = [Leaver(worker) for _ in range(5)]
        start = time.monotonic()
        while worker.running:
            with contextlib.suppress(ProcessLookupError):
                worker.signal(signal.SIGTERM)
            time.sleep(0.01)
            assert time.monotonic() - start < 10
        assert worker.wait() == 0
        for leaver in leavers:
            leaver.join(5)
        assert {leaver.code for leaver in leavers} == {CLOSE_GOING_AWAY}
        assert "Traceback" not in worker.output()
        assert "Error" not in worker.output()


def test_signals_of_a_terminal(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """SIGINT and SIGQUIT hurry the drain at once."""
    settings = {"CLOCK_DRAIN_NOTICE": "60", "CLOCK_DRAIN_SPREAD": "60"}
    with Worker(broker.url, directory, **settings) as first, Worker(broker.url, directory, **settings) as second:
        leavers = [Leaver(worker) for worker in (first, second) for _ in range(3)]
        first.signal(signal.SIGINT)
        second.signal(signal.SIGQUIT)
        for worker in (first, second):
            assert worker.wait(10) == 0
            assert "Traceback" not in worker.output()
        for leaver in leavers:
            leaver.join(5)
        assert {leaver.code for leaver in leavers} == {CLOSE_GOING_AWAY}


@pytest.mark.parametrize(
    ("numbers", "is_hurried"),
    [
        ([signal.SIGTERM], False),
        ([signal.SIGHUP], False),
        ([signal.SIGINT], True),
        ([signal.SIGQUIT], True),
        ([signal.SIGTERM, signal.SIGTERM], True),
        ([signal.SIGTERM, signal.SIGINT], True),
    ],
)
async def test_which_signals_hurry(numbers: list[signal.Signals], *, is_hurried: bool) -> None:
    """SIGINT and SIGQUIT do, as from a terminal, and so does any second signal."""
    server = Server(lambda *_: None, ["tcp:0"], ping_interval=6, ping_timeout=6, websocket_max_message_size=0)  # type: ignore[arg-type]
    server._drain = drain = Mock(run=AsyncMock())
    server.supervisor.start = Mock()  # type: ignore[method-assign]
    for number in numbers:
        server._stop_on(number)
    assert drain.hurry.called is is_hurried
    assert server.status.draining


@pytest.fixture
def linked_server() -> Iterator[Server]:
    """A server with a supervisor. Its drain is a mock."""
    near_end, far_end = open_link()
    options = {"ping_interval": 6, "ping_timeout": 6, "websocket_max_message_size": 0}
    server = Server(lambda *_: None, ["tcp:0"], link=far_end, **options)  # type: ignore[arg-type]
    server._drain = Mock(run=AsyncMock())
    server.supervisor.start = Mock()  # type: ignore[method-assign]
    with near_end, far_end:
        yield server


def test_a_supervisor_that_stops_may_send_a_signal_as_well(linked_server: Server) -> None:
    """The first signal after its request hurries nothing: whoever stops all processes sent it. The next one does."""
    server, drain = linked_server, cast("Mock", linked_server._drain)
    server.drain_for_supervisor("a test says so", expects_connections=True)
    assert server.status.draining
    server._stop_on(signal.SIGTERM)
    assert not drain.hurry.called
    assert not drain.set_notice.called, "a load balancer may be in front of the supervisor"
    server._stop_on(signal.SIGTERM)
    assert drain.hurry.called


def test_a_supervisor_that_sends_no_more_needs_no_notice(linked_server: Server) -> None:
    """A worker that is replaced waits only for the requests on connections that it has just got."""
    server, drain = linked_server, cast("Mock", linked_server._drain)
    server.drain_for_supervisor("a test says so", expects_connections=False)
    drain.set_notice.assert_called_once_with(SETTLING_S)
    server._stop_on(signal.SIGTERM)
    assert drain.hurry.called, "this one is meant"


def test_a_linked_worker_is_idle_when_nothing_more_will_come(linked_server: Server) -> None:
    """Connections that are under way count, and those on which nothing was requested yet."""
    server = linked_server
    server._daphne.is_idle = lambda: True  # type: ignore[method-assign]
    assert server._receiver is not None
    assert not server.is_idle()
    server._receiver.is_closed = True
    assert server.is_idle()


def test_a_drain_does_not_wait_for_clients(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """The worker stops in time with clients that never read, requests that are incomplete, and a crowd that connects.

    Connections of the last second, half of them in the middle of their handshake, make Daphne's own shutdown fail.
    """
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as worker:
        worker.wait_for_ticks()
        handshake = (
            f"GET /ws/clock/ HTTP/1.1\r\nHost: {worker.host}\r\nOrigin: http://{worker.host}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        clients = []
        for request in (handshake, handshake[:-2], "GET /clock/now HTTP/1.1\r\n", ""):
            client = socket.create_connection(("127.0.0.1", worker.port))
            client.sendall(request.encode())
            clients.append(client)
        assert clients[0].recv(4096).startswith(b"HTTP/1.1 101 ")

        def connect_many() -> None:
            with contextlib.suppress(OSError):
                while True:
                    clients.append(connect_viewer(worker.port).socket)

        threads = [Thread(target=connect_many, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(clients) > 50, "a crowd connects")
        start = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - start < STRAGGLER_TIMEOUT_S + 3
        assert "Traceback" not in worker.output()
        for thread in threads:
            thread.join(20)
        for client in clients:
            client.close()
