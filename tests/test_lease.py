"""The lease: who holds it, for how long, and with which term. Over a real broker, with a clock in the test's hands."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from bench.stack import Broker
from clock.outage import AWAY
from ticker.lease import LEASE_MS, RENEW_AFTER_NS, Lease


class Keeper:
    """A lease with a clock of its own, which stands still."""

    def __init__(self, broker: Broker, namespace: str) -> None:
        self.now = 1_000_000_000_000
        self.lease = Lease(lambda: Redis.from_url(broker.url), namespace, running_clock=lambda: self.now)

    def pass_time(self, milliseconds: float) -> None:
        """Let time pass."""
        self.now += int(milliseconds * 1_000_000)


@pytest.fixture
def namespace() -> str:
    """A namespace that nobody else uses."""
    return f"lease-{uuid4().hex}"


@pytest.fixture
async def keepers(broker: Broker, namespace: str) -> AsyncIterator[list[Keeper]]:
    """Two that want the same lease."""
    keepers = [Keeper(broker, namespace) for _ in range(2)]
    yield keepers
    for keeper in keepers:
        await keeper.lease.hang_up()


@pytest.fixture
async def redis(broker: Broker) -> AsyncIterator[Redis]:
    """A client that looks at what is stored, and meddles with it."""
    async with Redis.from_url(broker.url) as redis:
        yield redis


async def test_one_holds_it(keepers: list[Keeper]) -> None:
    """The other does not get it, and holds nothing; until it is released."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(0)
    assert not await other.take(0)
    assert (one.is_valid(), other.is_valid()) == (True, False)
    await one.release()
    assert not one.is_valid()
    assert await other.take(0)
    assert other.is_valid()


async def test_it_runs_out_unless_it_is_extended(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """By the holder's own clock, and in Redis a little later; extending counts from when it was asked for."""
    keeper = keepers[0]
    assert await keeper.lease.take(0)
    assert not keeper.lease.is_due()
    keeper.pass_time(RENEW_AFTER_NS / 1_000_000)
    assert keeper.lease.is_due()
    assert await keeper.lease.extend()
    assert not keeper.lease.is_due()
    keeper.pass_time(LEASE_MS - 1)
    assert keeper.lease.is_valid()
    keeper.pass_time(1)
    assert not keeper.lease.is_valid()
    assert 0 < await redis.pttl(f"{namespace}:lease") <= LEASE_MS
    assert not await keeper.lease.extend(), "what has run out is not extended: it is taken, with a new term"


async def test_validity_counts_from_before_the_request(broker: Broker, namespace: str) -> None:
    """An answer that took its time does not make it longer."""
    keeper = Keeper(broker, namespace)

    class Slow(Redis):
        async def eval(self, *words: object) -> object:  # type: ignore[override]
            keeper.pass_time(300)
            return await super().eval(*words)  # type: ignore[arg-type,misc]

    keeper.lease._connect = lambda: Slow.from_url(broker.url)
    assert await keeper.lease.take(0)
    keeper.pass_time(LEASE_MS - 301)
    assert keeper.lease.is_valid()
    keeper.pass_time(1)
    assert not keeper.lease.is_valid()
    await keeper.lease.hang_up()


async def test_the_term_rises_above_all_that_are_known(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Stored, heard, or held before; and where what is stored is no number, above the others."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(0)
    assert one.term == 1
    await one.release()
    assert await other.take(0)
    assert other.term == 2
    await other.release()
    assert await one.take(heard_term=40)
    assert one.term == 41
    await redis.flushall()
    assert await one.take(0)
    assert one.term == 42
    await redis.delete(f"{namespace}:lease")
    await redis.set(f"{namespace}:term", "rubbish")
    assert await other.take(7)
    assert other.term == 8


async def test_who_lost_it_finds_out(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Redis was emptied, or another took it: extending says so, and harms nobody."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(0)
    await redis.delete(f"{namespace}:lease")
    assert await other.take(0)
    assert not await one.extend()
    assert not one.is_valid()
    await one.release()
    assert await other.extend()


async def test_an_answer_that_was_lost_is_no_matter(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Who holds it without knowing gets it when it asks again."""
    one, _ = (keeper.lease for keeper in keepers)
    await redis.set(f"{namespace}:lease", one._token, px=LEASE_MS)
    assert await one.take(0)


@pytest.fixture
def paused(directory: Path) -> Iterator[Broker]:
    """A broker that does not answer."""
    with Broker(directory) as broker:
        yield broker


async def test_a_redis_that_does_not_answer_is_given_up_in_time(paused: Broker) -> None:
    """Within a third of the lease; and the next attempt has a connection of its own."""
    keeper = Keeper(paused, "clock")
    async with Redis.from_url(paused.url) as admin:
        await admin.execute_command("CLIENT", "PAUSE", "1000", "ALL")
        start = time.monotonic()
        with pytest.raises(AWAY):
            await keeper.lease.take(0)
        assert time.monotonic() - start < LEASE_MS / 1000
        assert not keeper.lease.is_valid()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await keeper.lease.take(0)
                except AWAY:
                    continue
                break
    await keeper.lease.hang_up()
