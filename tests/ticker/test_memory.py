"""Tickers on a Redis that is out of memory: ticks flow, a standby takes over, and only one ticker publishes."""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from clock.contract import Tick
from clock.redis.flat_map import read_flat_map
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL

SERVERS = pytest.mark.parametrize("kind", ["redis", pytest.param("the tests' broker", marks=pytest.mark.soak)])

# Less memory than the server itself needs: each command evicts all keys.
NO_MEMORY = ("--maxmemory", "100kb", "--maxmemory-policy", "allkeys-lru")

PUBLISHING, STANDING_BY = "publishing the time", "standing by"


def connect(port: int) -> Any:
    """Return a client. Its types are incomplete."""
    return Redis(port=port, socket_timeout=5)


class SmallRedis:
    """A server with little memory, and a subscriber to the ticks."""

    def __init__(self, server: Server | Broker) -> None:
        self.url = f"redis://127.0.0.1:{server.port}"
        self.client = connect(server.port)
        self.ticks = self.client.pubsub()
        self.ticks.subscribe(CHANNEL)
        assert self.ticks.get_message(timeout=5), "the subscription is confirmed"

    def fill(self, keys: int) -> None:
        """Write so many keys of a kilobyte. At the limit, Redis refuses them or evicts older ones."""
        for batch in range(0, keys, 500):
            pipeline = self.client.pipeline(transaction=False)
            for number in range(batch, batch + 500):
                pipeline.set(f"filling-{number}", "x" * 1000)
            pipeline.execute(raise_on_error=False)

    def discard_old_ticks(self) -> None:
        """Discard the ticks that have arrived so far."""
        while self.ticks.get_message() is not None:
            pass

    def count_ticks(self, seconds: float) -> Counter[int]:
        """Return the number of ticks of each term that arrive within a time from now."""
        self.discard_old_ticks()
        terms: Counter[int] = Counter()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if message := self.ticks.get_message(timeout=left):
                terms[Tick.from_message(read_flat_map(message["data"])).term] += 1
        return terms

    def measure_gap(self, timeout_s: float = 5.0) -> float:
        """Return the seconds until the next tick."""
        start = time.monotonic()
        self.discard_old_ticks()
        assert self.ticks.get_message(timeout=timeout_s), f"no tick for {timeout_s} s"
        return time.monotonic() - start

    def wait_for_one_leader(self) -> None:
        """Wait until only one term is published."""
        wait_until(lambda: len(terms := self.count_ticks(0.2)) == 1 and terms.total() >= 3, "there is one leader")


@contextlib.contextmanager
def small_redis(kind: str, directory: Path, *options: str) -> Iterator[SmallRedis]:
    """Run a server with these options."""
    server = Server(directory, *options) if kind == "redis" else Broker(directory, *options)
    with server:
        redis = SmallRedis(server)
        yield redis
        redis.ticks.close()
        redis.client.close()


@contextlib.contextmanager
def two_tickers(redis: SmallRedis, directory: Path) -> Iterator[tuple[Ticker, Ticker]]:
    """Start two tickers at the same time. Yield the leader and the standby."""
    with Ticker(redis.url, directory) as one, Ticker(redis.url, directory) as other:
        wait_until(lambda: {is_leader(one), is_leader(other)} == {True, False} and has_started(one, other), "one leads")
        redis.wait_for_one_leader()
        yield (one, other) if is_leader(one) else (other, one)


def has_started(*tickers: Program) -> bool:
    """Return whether each of these tickers is the leader or a standby."""
    return all(PUBLISHING in ticker.output() or STANDING_BY in ticker.output() for ticker in tickers)


def is_leader(ticker: Program) -> bool:
    """Return whether a ticker is the leader, according to its log."""
    log = ticker.output()
    return log.rfind(PUBLISHING) > max(log.rfind(STANDING_BY), log.rfind("stopped publishing"))


def count_advice(*tickers: Program) -> int:
    """Return how often these tickers have logged the advice about memory."""
    return sum(ticker.output().count("raise maxmemory") for ticker in tickers)


@pytest.mark.soak
@SERVERS
def test_a_full_redis(kind: str, directory: Path) -> None:
    """With noeviction and no room for another key: the standby takes over as usual, and nothing is logged."""
    with small_redis(kind, directory, "--maxmemory", "5mb", "--maxmemory-policy", "noeviction") as redis:
        redis.fill(10_000)
        with two_tickers(redis, directory) as (leader, standby):
            assert redis.count_ticks(0.3).total() > 3
            leader.kill()
            assert redis.measure_gap() <= 2
            redis.wait_for_one_leader()
            assert count_advice(leader, standby) == 0
            assert standby.output().count(PUBLISHING) == 1


@pytest.mark.soak
@SERVERS
def test_a_redis_that_evicts_keys(kind: str, directory: Path) -> None:
    """With allkeys-lru, while others write: the keys of the clock are in use, so other keys are evicted."""
    with small_redis(kind, directory, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru") as redis:
        redis.fill(5_000)
        with two_tickers(redis, directory) as (leader, standby):
            redis.fill(5_000)
            assert redis.client.info("stats")["evicted_keys"] > 1_000
            redis.wait_for_one_leader()
            assert redis.count_ticks(0.3).total() > 3
            leader.kill()
            assert redis.measure_gap() <= 2
            redis.wait_for_one_leader()
            assert standby.running


@pytest.mark.soak
@SERVERS
def test_a_redis_that_retains_nothing(kind: str, directory: Path) -> None:
    """With allkeys-lru and too little memory for any key: of two tickers that start together, one publishes.

    The term rises once, when the leader finds that the lease is lost. The advice is logged once. A standby takes over.
    """
    with small_redis(kind, directory, *NO_MEMORY) as redis, two_tickers(redis, directory) as (leader, standby):
        terms = redis.count_ticks(1)
        assert redis.client.dbsize() == 0
        assert len(terms) == 1
        assert terms.total() > 10
        wait_until(lambda: count_advice(leader) == 1, "the advice is logged")
        (before,) = redis.count_ticks(0.3)

        # A leader that stalls for longer than a standby waits, but for less than the lease, does not continue.
        takeovers = standby.output().count(PUBLISHING)
        leader.signal(signal.SIGSTOP)
        standby.wait_for_output(PUBLISHING, times=takeovers + 1)
        leader.signal(signal.SIGCONT)
        redis.wait_for_one_leader()
        (after,) = redis.count_ticks(0.3)
        assert after > before

        standby.kill()
        assert redis.measure_gap() <= 2
        redis.wait_for_one_leader()
        assert count_advice(leader) == 1
