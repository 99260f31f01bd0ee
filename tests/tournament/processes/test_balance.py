"""The balance, in virtual time: how evenly viewers are spread, and who gets nothing."""

import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from tournament.processes.balance import CHECK_INTERVAL_S, SILENT_AFTER_S, Standing, in_order
from tournament.processes.link import Report


@dataclass
class FakeWorker:
    """A worker that takes its time: a connection waits in its link, and then for its handshake."""

    standing: Standing = field(default_factory=Standing)
    link: deque[bool] = field(default_factory=deque)  # connections: whether each becomes a viewer
    undecided: deque[tuple[float, bool]] = field(default_factory=deque)  # the same, and when it is decided
    viewers: int = 0
    received: int = 0

    def send(self, turn: int, *, is_viewer: bool) -> None:
        """Send a connection, as the supervisor does."""
        self.standing.sent += 1
        self.standing.last_turn = turn
        self.link.append(is_viewer)

    def advance(self, now: float) -> None:
        """Receive a few connections, and finish the handshakes that are due."""
        for _ in range(min(len(self.link), 200)):
            self.undecided.append((now + 0.15, self.link.popleft()))
            self.received += 1
        while self.undecided and self.undecided[0][0] <= now:
            self.viewers += self.undecided.popleft()[1]

    def report(self, *, is_ready: bool = True, is_open: bool = True) -> None:
        """Report, as the receiver does."""
        self.standing.record(Report(self.viewers + len(self.undecided), self.received, is_ready, is_open))


def reporting(viewers: int = 0, *, is_ready: bool = True, is_open: bool = True) -> FakeWorker:
    """Return a worker that has reported."""
    worker = FakeWorker(viewers=viewers)
    worker.report(is_ready=is_ready, is_open=is_open)
    return worker


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("per_second", [50, 1000])
def test_viewers_are_spread_evenly(workers: int, per_second: int) -> None:
    """Within 10 %, however fast they come, while requests of pages come in between and viewers leave at random.

    Reports are up to 0.2 s old, and each worker sends them at another moment.
    """
    chance = random.Random(workers * per_second)
    crowd = [reporting() for _ in range(workers)]
    target, now, turn, due = 400 * workers, 0.0, 0, 0.0
    while sum(worker.viewers for worker in crowd) < target:
        now += 0.01
        due += per_second * 0.01
        while due >= 1:
            due -= 1
            if chance.random() < 0.3:
                leaver = chance.choice(crowd)
                leaver.viewers -= leaver.viewers > 0
            for is_viewer in [True, *[False] * chance.choice((0, 0, 3, 8))]:
                turn += 1
                in_order(crowd)[0].send(turn, is_viewer=is_viewer)
        for number, worker in enumerate(crowd):
            worker.advance(now)
            if round(now * 100) % 20 == number * 7 % 20:
                worker.report()
    for worker in crowd:
        worker.advance(now + 10)
    mean = sum(worker.viewers for worker in crowd) / workers
    assert all(abs(worker.viewers - mean) <= mean / 10 for worker in crowd), [worker.viewers for worker in crowd]


def test_a_worker_that_has_fewer_gets_all_until_it_has_as_many() -> None:
    """As after a restart."""
    old, new = reporting(100), reporting(0)
    for turn in range(100):
        in_order([old, new])[0].send(turn, is_viewer=True)
    assert len(new.link) == 100
    assert not old.link


def test_requests_are_spread_as_well() -> None:
    """Of workers with as many viewers, each gets its turn."""
    crowd = [reporting(7) for _ in range(3)]
    for turn in range(1, 31):
        in_order(crowd)[0].send(turn, is_viewer=False)
        for worker in crowd:
            worker.advance(turn)
            worker.report()
    assert [worker.received for worker in crowd] == [10, 10, 10]


def test_only_ready_workers_get_connections() -> None:
    """A full or draining worker gets none while another is ready, whatever their loads."""
    ready, full = reporting(1_000), reporting(0, is_ready=False)
    assert in_order([ready, full]) == [ready]


def test_without_a_ready_worker_the_live_ones_get_connections() -> None:
    """They tell their clients why they cannot serve them."""
    first, second = reporting(2, is_ready=False), reporting(1, is_ready=False)
    assert in_order([first, second]) == [second, first]


def test_who_gets_nothing_at_all() -> None:
    """A worker that starts, one that takes no connections, and one that has been told to end."""
    retired = reporting()
    retired.standing.is_retired = True
    assert in_order([FakeWorker(), reporting(is_open=False), retired]) == []


def test_a_silent_worker_gets_nothing() -> None:
    """After a second without a report, until it reports again."""
    worker = reporting()
    for _ in range(round(SILENT_AFTER_S / CHECK_INTERVAL_S)):
        assert in_order([worker]) == [worker]
        worker.standing.check()
    assert in_order([worker]) == []
    worker.report()
    assert in_order([worker]) == [worker]


def test_a_worker_that_starts_is_not_silent() -> None:
    """It has not reported yet."""
    worker = FakeWorker()
    for _ in range(1_000):
        worker.standing.check()
    assert not worker.standing.is_silent
