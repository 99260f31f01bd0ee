"""The parts together: a real broker, a ticker, two workers and real WebSockets."""

import json
import selectors
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from clock.contract import TICK_MS
from testbed.accounting import waited_s
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.subscriber import CHANNEL, Subscriber
from testbed.viewers import Viewer, close, connect, watch
from tests.conftest import lines_of

# Log lines of a worker.
UNAVAILABLE = "Redis is unavailable"
FLOWING = "receiving ticks"


def watch_and_subscribe(broker: Broker, viewers: list[Viewer], seconds: float) -> set[int]:
    """Let the viewers read for so many seconds; return the times of the ticks that were published meanwhile."""
    subscriber = Subscriber(broker.port, CHANNEL)
    published: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(
            subscriber.socket, selectors.EVENT_READ, lambda: published.update(tick.at for tick in subscriber.read())
        )
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer.read)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for key, _ in selector.select(1):
                key.data()
    subscriber.close()
    return published


def wait_for_frames(viewer: Viewer, count: int = 20) -> None:
    """Wait until a viewer has got so many more frames."""
    before = len(viewer.times)

    def has_got_them() -> bool:
        watch([viewer], 0.1)
        return len(viewer.times) >= before + count

    wait_until(has_got_them, f"{count} more frames")


def rises(times: list[int]) -> bool:
    """Return whether each time is later than the one before."""
    return all(before < after for before, after in pairwise(times))


@pytest.mark.soak
def test_workers_send_the_same_ticks_and_fail_alone(
    broker: Broker, ticker: Ticker, worker: Worker, directory: Path
) -> None:
    """Two workers send every published tick to every viewer, once and in order. If one dies, only its viewers notice.

    A viewer with `?rate=10` gets at most one tick of each tenth of a second. At most 5 % of the ticks are missing
    anywhere, apart from those that a worker drops while it waits for a processor.
    """
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as other:
        other.wait_for_ticks()
        viewers = [connect(port) for port in (worker.port, other.port) for _ in range(3)]
        slow = connect(worker.port, "/ws/clock/?rate=10")
        waited_before_s = waited_s(worker.pid) + waited_s(other.pid)
        published = watch_and_subscribe(broker, [*viewers, slow], 2.2)
        starved = (waited_s(worker.pid) + waited_s(other.pid) - waited_before_s) * 1000 / TICK_MS
        first, last = min(published) + 300, max(published) - 300
        due = {at for at in published if first <= at <= last}
        assert len(due) > 50
        for viewer in viewers:
            assert rises(viewer.times)
            assert len(due - set(viewer.times)) <= len(due) / 20 + starved
        assert rises(slow.times)
        assert len({at // 100 for at in slow.times}) == len(slow.times)
        assert len(slow.times) > 5

        other.kill()
        wait_for_frames(viewers[0])
        close([*viewers, slow])


def test_the_time_is_in_the_tickers_zone(worker: Worker) -> None:
    """`/clock/now` gives the time in Kathmandu, 5 h 45 min ahead of UTC, and the same instant as `at`."""
    status, body = worker.get("/clock/now")
    assert status == 200
    answer = json.loads(body)
    hours, minutes = int(answer["message"][11:13]), int(answer["message"][14:16])
    utc = time.gmtime(answer["at"] / 1000)
    assert (hours * 60 + minutes - utc.tm_hour * 60 - utc.tm_min) % 1440 == 5 * 60 + 45
    assert abs(answer["at"] - time.time() * 1000) < 60_000


class Clock(NamedTuple):
    """A clock whose parts a test may kill."""

    broker: Broker
    ticker: Ticker
    worker: Worker


@pytest.fixture(scope="module")
def clock(directory: Path) -> Iterator[Clock]:
    """A broker, a ticker and a worker that run again after each test. None may print a traceback."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        yield Clock(broker, ticker, worker)
        assert "Traceback" not in worker.output() + ticker.output()


@pytest.mark.soak
def test_frames_continue_after_the_ticker_restarts(clock: Clock) -> None:
    """A ticker is killed and starts again: viewers keep their connections, and no time comes twice."""
    viewer = connect(clock.worker.port)
    watch([viewer], 0.3)
    clock.ticker.kill()
    watch([viewer], 0.3)
    clock.ticker.start()
    wait_for_frames(viewer)
    assert rises(viewer.times)
    close([viewer])


def test_ticker_and_workers_recover_when_redis_does(clock: Clock, directory: Path) -> None:
    """Redis is killed and starts again, empty. A worker that starts meanwhile, in another namespace, works as well.

    - Redis is killed. A second worker starts: it serves pages, is alive, and has no time.
    - Redis starts. Ticks flow again on the open connections, and each program has logged one line per change of state.
    - The second worker gets none of these ticks, as they are not of its namespace.
    - A ticker of that namespace starts, in another database: now the second worker has the time.
    """
    broker, ticker, worker = clock
    viewer = connect(worker.port)
    watch([viewer], 0.3)
    logged = [len(lines_of(program)) for program in (ticker, worker)]
    flowing = worker.output().count(FLOWING)
    broker.kill()
    with Worker(broker.url + "/5", directory, CLOCK_NAMESPACE="other") as second:
        worker.wait_for_output(UNAVAILABLE)
        second.wait_for_output(UNAVAILABLE)
        assert second.get("/clock/")[0] == 200
        assert second.get("/healthz")[0] == 200
        assert second.get("/clock/now")[0] == 503

        broker.start()
        wait_for_frames(viewer)
        assert rises(viewer.times)
        close([viewer])
        worker.wait_for_output(FLOWING, times=flowing + 1)
        # The ticker: Redis unavailable, available, and what it did about the lost lease: one line or two.
        wait_until(lambda: len(lines_of(ticker)[logged[0] :]) >= 3, "the ticker has logged its recovery")
        assert len(lines_of(ticker)[logged[0] :]) <= 4, ticker.output()
        assert ticker.output().count(UNAVAILABLE) == 1
        # The worker: Redis unavailable, ticks.
        assert len(lines_of(worker)[logged[1] :]) == 2, worker.output()
        assert second.get("/clock/now")[0] == 503
        second.wait_for_output("no ticks for 2 s")

        with Ticker(broker.url + "/7", directory, CLOCK_NAMESPACE="other"):
            second.wait_for_ticks()
        assert "Traceback" not in second.output()
