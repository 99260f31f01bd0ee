"""Tickers on a Redis that is out of memory: the clock goes on, a standby takes over, and only one of them publishes."""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from redis import Redis

from clock.contract import Tick
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL

SERVERS = pytest.mark.parametrize("kind", ["redis", "the tests' broker"])

# Each command evicts every key, for the server itself needs more.
KEEPING_NOTHING = ("--maxmemory", "100kb", "--maxmemory-policy", "allkeys-lru")


class Crowded:
    """A server with little memory, filled by others; and what is published there."""

    def __init__(self, server: Server | Broker) -> None:
        self.url = f"redis://127.0.0.1:{server.port}"
        self.redis = Redis(port=server.port, socket_timeout=5)
        self.ticks = self.redis.pubsub()
        self.ticks.subscribe(CHANNEL)
        assert self.ticks.get_message(timeout=5), "it is subscribed"

    def fill(self, keys: int = 10_000) -> None:
        """Write so many keys of a kilobyte, of which the last are refused or the first evicted."""
        for batch in range(0, keys, 500):
            pipeline = self.redis.pipeline(transaction=False)
            for number in range(batch, batch + 500):
                pipeline.set(f"filling-{number}", "x" * 1000)
            pipeline.execute(raise_on_error=False)

    def hear(self, seconds: float) -> Counter[int]:
        """Return how many ticks of each term come within a time, from now on."""
        while self.ticks.get_message() is not None:
            pass
        terms: Counter[int] = Counter()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if message := self.ticks.get_message(timeout=left):
                terms[Tick.from_message(msgpack.unpackb(message["data"])).term] += 1
        return terms

    def gap(self, seconds: float = 5.0) -> float:
        """Return how long no tick has come, from now on."""
        began = time.monotonic()
        while self.ticks.get_message() is not None:
            pass
        assert self.ticks.get_message(timeout=seconds), f"no tick for {seconds} s"
        return time.monotonic() - began

    def wait_for_one_leader(self) -> None:
        """Wait until one term alone is published."""
        wait_until(lambda: len(terms := self.hear(0.3)) == 1 and terms.total() >= 3, "one leads")


@contextlib.contextmanager
def crowded(kind: str, directory: Path, *options: str) -> Iterator[Crowded]:
    """Have a server with these options."""
    server = Server(directory, *options) if kind == "redis" else Broker(directory, *options)
    with server:
        yield Crowded(server)


@contextlib.contextmanager
def pair(url: str, directory: Path) -> Iterator[tuple[Ticker, Ticker]]:
    """Have a leader and a standby."""
    with Ticker(url, directory) as leader:
        leader.wait_for_output("publishing the time")
        with Ticker(url, directory) as standby:
            standby.wait_for_output("standing by")
            yield leader, standby


def advice(*tickers: Program) -> int:
    """Return how often these said what to do."""
    return sum(ticker.output().count("raise maxmemory") for ticker in tickers)


@SERVERS
def test_full(kind: str, directory: Path) -> None:
    """Under noeviction, with no room for another key: a standby takes over as ever, and there is nothing to say."""
    with crowded(kind, directory, "--maxmemory", "5mb", "--maxmemory-policy", "noeviction") as redis:
        redis.fill()
        with pair(redis.url, directory) as (leader, standby):
            assert redis.hear(1).total() > 10
            leader.kill()
            assert redis.gap() <= 2
            redis.wait_for_one_leader()
            assert advice(leader, standby) == 0
            assert standby.output().count("publishing the time") == 1


@SERVERS
def test_evicting(kind: str, directory: Path) -> None:
    """Under allkeys-lru, while others write without a pause: the clock's keys are in use, and others' are evicted."""
    with crowded(kind, directory, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru") as redis:
        redis.fill(5_000)
        with pair(redis.url, directory) as (leader, standby):
            redis.fill(5_000)
            assert redis.redis.info("stats")["evicted_keys"] > 1_000
            redis.wait_for_one_leader()
            assert redis.hear(1).total() > 10
            leader.kill()
            assert redis.gap() <= 2
            redis.wait_for_one_leader()
            assert standby.running


@SERVERS
def test_keeping_nothing(kind: str, directory: Path) -> None:
    """Under allkeys-lru with less than the server itself needs: each command evicts every key.

    Ticks flow, the standby stands by, and takes over; what is wrong is said once.
    """
    with crowded(kind, directory, *KEEPING_NOTHING) as redis, pair(redis.url, directory) as (leader, standby):
        terms = redis.hear(3)
        assert redis.redis.dbsize() == 0
        assert len(terms) <= 2, "the term rises once, when the lease is found to be gone"
        assert terms.total() > 30
        assert advice(leader) == 1
        (before,) = redis.hear(0.5)

        # One that stood still longer than a standby waits, and not as long as its lease lasts, does not lead on.
        leader.signal(signal.SIGSTOP)
        standby.wait_for_output("publishing the time")
        leader.signal(signal.SIGCONT)
        redis.wait_for_one_leader()
        (after,) = redis.hear(0.5)
        assert after > before

        standby.kill()
        assert redis.gap() <= 2
        redis.wait_for_one_leader()
        assert advice(leader) == 1


def test_two_that_start_together_where_nothing_is_kept(directory: Path) -> None:
    """Both may get the lease; one of them gives up."""
    with (
        crowded("redis", directory, *KEEPING_NOTHING) as redis,
        Ticker(redis.url, directory) as one,
        Ticker(redis.url, directory) as other,
    ):
        wait_until(lambda: all("the time" in ticker.output() for ticker in (one, other)), "they lead or stand by")
        redis.wait_for_one_leader()
        assert len(redis.hear(1)) == 1
