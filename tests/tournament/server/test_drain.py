"""The drain: its order and its times on a clock of the test's own; then a real worker, as its viewers meet it."""

import contextlib
import signal
import socket
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from clock.contract import CLOSE_GOING_AWAY
from testbed.processes import Broker, Ticker, Worker, accepts_connections, wait_until
from testbed.viewers import connect as watch_from
from tournament.server.drain import HURRIED_SPREAD, PATIENCE, TURN, Drain

# --- In virtual time ---


class Viewer:
    """A viewer that remembers when it was sent away, and goes at once or never."""

    def __init__(self, worker: "FakeWorker", *, goes: bool = True) -> None:
        self.worker = worker
        self.goes = goes
        self.sent_away: list[float] = []

    def send_away(self) -> None:
        """Go."""
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
        """Remember when."""
        self.stopped_listening.append(self.time)

    def viewers(self) -> list[Viewer]:
        """Return who is there."""
        return self.crowd

    def is_idle(self) -> bool:
        """Return whether all have gone."""
        return not self.crowd and not self.lingering

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and happen what is to happen."""
        self.time += seconds
        while self.events and self.events[0][0] <= self.time:
            event = self.events.pop(0)[1]
            assert callable(event)
            event()

    def drain(self, notice: float, spread: float) -> Drain:
        """Return a drain of this worker."""
        return Drain(self, notice, spread, now=lambda: self.time, sleep=self.sleep)


async def test_notice_then_no_more_connections_then_the_viewers_one_by_one() -> None:
    """Evenly spread: of five over 5 seconds one each second, the first at once."""
    worker = FakeWorker(5)
    viewers = list(worker.crowd)
    await worker.drain(3, 5).run()
    assert worker.stopped_listening == [pytest.approx(3)]
    assert sorted(viewer.sent_away for viewer in viewers) == [[pytest.approx(at)] for at in (3, 4, 5, 6, 7)]
    assert worker.time == pytest.approx(7), "and when the last has gone there is nothing to wait for"


async def test_a_crowd_is_spread_as_evenly() -> None:
    """No tenth of a second has more than its share."""
    worker = FakeWorker(10_000)
    viewers = list(worker.crowd)
    await worker.drain(0, 5).run()
    by_tenth = [0] * 50
    for viewer in viewers:
        by_tenth[int(viewer.sent_away[0] * 10 + 1e-6)] += 1
    assert max(by_tenth) - min(by_tenth) <= 2


async def test_nobody_there() -> None:
    """The notice is kept, for a load balancer may still send somebody; and then it is over."""
    worker = FakeWorker()
    await worker.drain(3, 5).run()
    assert worker.stopped_listening == [pytest.approx(3)]
    assert worker.time == pytest.approx(3)


async def test_who_does_not_go_is_not_waited_for_long() -> None:
    """Nor is a request that does not end."""
    worker = FakeWorker(1)
    worker.crowd[0].goes = False
    await worker.drain(1, 0).run()
    assert worker.time == pytest.approx(1 + PATIENCE, abs=2 * TURN)


async def test_who_comes_meanwhile_is_sent_away_too() -> None:
    """On a connection that was open before: in the notice with the others, and after that in the end."""
    worker = FakeWorker(2)
    early, late = Viewer(worker), Viewer(worker)
    worker.events = [(1, lambda: worker.crowd.append(early)), (5, lambda: worker.crowd.append(late))]
    await worker.drain(3, 3).run()
    assert 3 <= early.sent_away[0] < 6
    assert late.sent_away == [pytest.approx(5, abs=0.1)]
    assert worker.is_idle()


@pytest.mark.parametrize(
    ("at", "listens_until", "ends_by"),
    [(0, 0, HURRIED_SPREAD), (1, 1, 1 + HURRIED_SPREAD), (6, 3, 6 + HURRIED_SPREAD), (7.9, 3, 8)],
)
async def test_a_hurry(at: float, listens_until: float, ends_by: float) -> None:
    """Before it begins, in the notice, in the midst of the spread, or at its end: at once, and spread over less."""
    worker = FakeWorker(100)
    viewers = list(worker.crowd)
    drain = worker.drain(3, 5)
    if at:
        worker.events = [(at, drain.hurry)]
    else:
        drain.hurry()
    await drain.run()
    assert worker.stopped_listening == [pytest.approx(listens_until, abs=2 * TURN)]
    assert worker.time == pytest.approx(ends_by, abs=3 * TURN)
    last = sorted(viewer.sent_away[0] for viewer in viewers)[-10:]
    assert last[-1] - last[0] > 0.02, "still not all at once"


async def test_a_short_spread_is_not_made_longer_by_a_hurry() -> None:
    """A tenth of a second stays one."""
    worker = FakeWorker(10)
    drain = worker.drain(0, 0.1)
    drain.hurry()
    await drain.run()
    assert worker.time <= 0.1 + TURN


# --- A real worker ---


class Leaver(Thread):
    """A client that listens until it is closed, and remembers how and when."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(daemon=True)
        self.host = worker.host
        self.is_open = Event()
        self.came: list[float] = []
        self.closed_at = 0.0
        self.code = 0
        self.reason = ""
        self.start()
        assert self.is_open.wait(10)

    def run(self) -> None:
        """Listen."""
        origin: Any = f"http://{self.host}"
        with connect(f"ws://{self.host}/ws/clock/?rate=10", origin=origin, compression=None) as client:
            self.is_open.set()
            try:
                while True:
                    client.recv()
                    self.came.append(time.monotonic())
            except ConnectionClosed as closed:
                self.closed_at = time.monotonic()
                if closed.rcvd is not None:
                    self.code, self.reason = closed.rcvd.code, closed.rcvd.reason


def test_it_lets_go_of_its_viewers(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Not ready at once and serving still; then no connections; then 4012 to each, spread; then exit code 0."""
    times = {"CLOCK_DRAIN_NOTICE": "2", "CLOCK_DRAIN_SPREAD": "2"}
    with Worker(broker.url, directory, **times) as worker:
        worker.wait_for_ticks()
        assert worker.get("/readyz") == (200, '{"ready": true, "reasons": []}')
        leavers = [Leaver(worker) for _ in range(20)]
        start = time.monotonic()
        worker.signal(signal.SIGTERM)
        wait_until(lambda: worker.get("/readyz")[0] == 503, "it is not ready", 1)
        assert worker.get("/readyz")[1] == '{"ready": false, "reasons": ["draining"]}'
        assert worker.get("/healthz")[0] == 200
        assert worker.get("/clock/now")[0] == 200
        leavers.append(Leaver(worker))  # a load balancer that has not noticed yet
        wait_until(lambda: not accepts_connections(worker.port), "it takes no connections", 10)
        assert time.monotonic() - start >= 2
        assert worker.wait() == 0
        for leaver in leavers:
            leaver.join(5)
        assert {(leaver.code, leaver.reason) for leaver in leavers} == {(CLOSE_GOING_AWAY, "the worker is going away")}
        closed = sorted(leaver.closed_at - start for leaver in leavers)
        assert closed[0] >= 2
        assert 1.5 < closed[-1] - closed[0] < 4
        assert len({int(at * 5) for at in closed}) >= 7, "spread, and not in one or two heaps"
        assert all(leaver.closed_at - leaver.came[-1] < 1 for leaver in leavers), "ticks to the last"
        assert "Traceback" not in worker.output()
        assert worker.output().count("draining") == 1


@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]]
)
def test_in_a_hurry(broker: Broker, ticker: Ticker, directory: Path, numbers: list[signal.Signals]) -> None:
    """Ctrl-C or a second signal: no notice, and a short spread; still 4012 to each, and exit code 0."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="60", CLOCK_DRAIN_SPREAD="60") as worker:
        leavers = [Leaver(worker) for _ in range(5)]
        for number in numbers:
            worker.signal(number)
            time.sleep(0.3)
        assert worker.wait(10) == 0
        for leaver in leavers:
            leaver.join(5)
        assert {leaver.code for leaver in leavers} == {CLOSE_GOING_AWAY}
        assert "Traceback" not in worker.output()


def test_many_signals(broker: Broker, directory: Path) -> None:
    """However often it is told, it ends once, and well."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="1") as worker:
        while worker.running:
            worker.signal(signal.SIGTERM)
            time.sleep(0.01)
        assert worker.wait() == 0
        assert "Traceback" not in worker.output()
        assert "Error" not in worker.output()


def test_clients_that_do_not_answer_hold_nothing_up(broker: Broker, directory: Path) -> None:
    """Neither who never reads, nor who stops in the midst of a request, nor a connection that asks for nothing."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as worker:
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
        start = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - start < PATIENCE + 3
        assert "Traceback" not in worker.output()
        for client in clients:
            client.close()


def test_it_is_told_to_stop_while_a_crowd_comes(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Connections of the last second, upgraded and half upgraded: Daphne's own end stumbles over them."""
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as worker:
        worker.wait_for_ticks()

        viewers = []

        def come() -> None:
            with contextlib.suppress(OSError):
                while True:
                    viewers.append(watch_from(worker.port))

        threads = [Thread(target=come, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()
        for thread in threads:
            thread.join(20)
        assert len(viewers) > 50
        for viewer in viewers:
            viewer.socket.close()
