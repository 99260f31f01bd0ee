"""The parts together: a real broker, a ticker, two workers, real WebSockets."""

import json
import selectors
import signal
import time
from itertools import pairwise
from pathlib import Path

from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.subscriber import CHANNEL, Subscriber
from testbed.viewers import Viewer, connect, watch
from tests.conftest import lines_of


def follow(broker: Broker, viewers: list[Viewer], seconds: float) -> set[int]:
    """Let the viewers watch for so long; return the times of the ticks that were published meanwhile."""
    subscriber = Subscriber(broker.port, CHANNEL)
    published: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(
            subscriber.socket, selectors.EVENT_READ, lambda: published.update(h.at for h in subscriber.read())
        )
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer.read)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for key, _ in selector.select(1):
                key.data()
    subscriber.close()
    return published


def close(viewers: list[Viewer]) -> None:
    """Hang up."""
    for viewer in viewers:
        viewer.socket.close()


def rises(times: list[int]) -> bool:
    """Return whether each time is above the one before."""
    return all(before < after for before, after in pairwise(times))


def test_two_workers_tell_the_same_time(broker: Broker, ticker: Ticker, worker: Worker, directory: Path) -> None:
    """Every published tick comes to every viewer of either worker, once, in order, and with the same text."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as other:
        other.wait_for_ticks()
        viewers = [connect(port) for port in (worker.port, other.port) for _ in range(3)]
        published = follow(broker, viewers, 3)
        first, last = min(published) + 500, max(published) - 500
        due = {at for at in published if first <= at <= last}
        assert len(due) > 150
        for viewer in viewers:
            assert rises(viewer.times)
            # A busy machine may have a worker drop what came between, but never for one of its viewers alone.
            assert len(due - set(viewer.times)) <= len(due) // 20
        close(viewers)


def test_the_text_is_that_of_the_tickers_zone(worker: Worker) -> None:
    """Kathmandu is 5 h 45 min ahead of UTC, in the frame as in `/clock/now`."""
    status, body = worker.get("/clock/now")
    assert status == 200
    answer = json.loads(body)
    hours, minutes = int(answer["message"][11:13]), int(answer["message"][14:16])
    utc = time.gmtime(answer["at"] / 1000)
    assert (hours * 60 + minutes - utc.tm_hour * 60 - utc.tm_min) % 1440 == 5 * 60 + 45
    assert abs(answer["at"] - time.time() * 1000) < 60_000


def test_a_lower_rate(worker: Worker) -> None:
    """At 10 a second the frames lie a tenth apart, on full tenths where the machine allows it."""
    (viewer,) = viewers = [connect(worker.port, "/ws/clock/?rate=10")]
    watch(viewers, 2)
    close(viewers)
    assert rises(viewer.times)
    assert len({at // 100 for at in viewer.times}) == len(viewer.times)
    assert 15 <= len(viewer.times) <= 21


def test_two_namespaces_share_a_broker(broker: Broker, directory: Path, worker: Worker, ticker: Ticker) -> None:
    """A clock hears the ticks of its own namespace alone, though both use one Redis."""
    assert ticker.running
    with Worker(broker.url + "/5", directory, CLOCK_NAMESPACE="other") as other:
        time.sleep(0.5)  # what is waited for here is that nothing comes
        assert other.get("/clock/now")[0] == 503
        assert worker.get("/clock/now")[0] == 200
        with Ticker(broker.url + "/7", directory, CLOCK_NAMESPACE="other"):
            other.wait_for_ticks()


def test_the_ticker_is_killed_and_comes_back(directory: Path) -> None:
    """The viewers' sockets stay open, and the frames go on; no time comes twice."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        (viewer,) = viewers = [connect(worker.port)]
        watch(viewers, 0.5)
        ticker.kill()
        watch(viewers, 0.5)
        before = len(viewer.times)
        ticker.start()
        wait_until(lambda: watch(viewers, 0.1) is None and len(viewer.times) > before + 20, "frames")
        assert rises(viewer.times)
        close(viewers)


def test_the_broker_is_killed_and_comes_back(directory: Path) -> None:
    """Ticker and worker find their way back by themselves, with the viewers' sockets open, and say so once."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        (viewer,) = viewers = [connect(worker.port)]
        watch(viewers, 0.5)
        broker.kill()
        watch(viewers, 3)
        before = len(viewer.times)
        broker.start()
        wait_until(lambda: watch(viewers, 0.1) is None and len(viewer.times) > before + 20, "frames")
        assert rises(viewer.times)
        close(viewers)
        ticker.wait_for_output("Redis is available again")
        worker.wait_for_output("receiving ticks", times=2)
        assert len(lines_of(ticker)) == 4, ticker.output()
        assert len(lines_of(worker)) == 5, worker.output()  # listening; waiting, coming; away, coming
        assert "Traceback" not in worker.output() + ticker.output()


def test_redis_absent_when_the_worker_starts(directory: Path) -> None:
    """It serves its pages meanwhile, does not tell the time, and begins by itself when Redis comes."""
    with Broker(directory) as broker:
        broker.kill()
        with Worker(broker.url, directory) as worker, Ticker(broker.url, directory):
            worker.wait_for_output("Redis is unavailable")
            assert worker.get("/clock/")[0] == 200
            assert worker.get("/healthz")[0] == 200
            assert worker.get("/clock/now")[0] == 503
            broker.start()
            worker.wait_for_ticks()
            assert "Traceback" not in worker.output()


def test_a_frozen_broker_is_noticed(directory: Path) -> None:
    """A link that is open and silent: the worker says that no ticks come, and takes them up again when they do."""
    with Broker(directory) as broker, Ticker(broker.url, directory), Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        broker.signal(signal.SIGSTOP)
        worker.wait_for_output("no ticks for 2 s")
        broker.signal(signal.SIGCONT)
        worker.wait_for_output("receiving ticks", times=2)


def test_a_worker_is_killed(broker: Broker, ticker: Ticker, worker: Worker, directory: Path) -> None:
    """Its own viewers lose their connection, and nobody else's notice."""
    assert ticker.running
    with Worker(broker.url, directory) as other:
        other.wait_for_ticks()
        staying, leaving = connect(worker.port), connect(other.port)
        watch([staying, leaving], 0.3)
        other.kill()
        before = len(staying.times)
        watch([staying], 0.5)
        assert len(staying.times) > before + 20
        close([staying, leaving])
