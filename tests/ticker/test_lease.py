"""The lease: who holds it, for how long, and with which term. Over a real broker, with a fake local clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from clock.redis.outage import UNAVAILABLE
from testbed.processes import Broker
from testbed.redis_servers import Server
from ticker import lease as module
from ticker.lease import MAX_TERM_RISE, RENEW_AFTER_NS, WARN_AGAIN_AFTER_NS, Lease
from ticker.lease_scripts import ALLOW_OOM, LEASE_MS, MAX_RECEIVED_RISE, MAX_TERM


class Keeper:
    """A lease, and a clock that advances only when the test says so."""

    def __init__(self, broker: Broker, namespace: str) -> None:
        self.now_ns = 1_000_000_000_000
        self.lease = Lease(lambda: Redis.from_url(broker.url), namespace, monotonic_ns=lambda: self.now_ns)

    def pass_time(self, milliseconds: float) -> None:
        """Advance the clock."""
        self.now_ns += int(milliseconds * 1_000_000)


@pytest.fixture(autouse=True)
def timeout_s(monkeypatch: pytest.MonkeyPatch) -> float:
    """The timeout of a request, which is longer here: a busy machine must not end a test."""
    original = module.TIMEOUT_S
    monkeypatch.setattr(module, "TIMEOUT_S", 10.0)
    return original


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"lease-{uuid4().hex}"


@pytest.fixture
async def keepers(broker: Broker, namespace: str) -> AsyncIterator[list[Keeper]]:
    """Two holders of the same lease."""
    keepers = [Keeper(broker, namespace) for _ in range(2)]
    yield keepers
    for keeper in keepers:
        await keeper.lease.disconnect()


@pytest.fixture
async def redis(broker: Broker) -> AsyncIterator[Redis]:
    """A client that reads and changes the stored values."""
    async with Redis.from_url(broker.url) as redis:
        yield redis


async def test_only_one_ticker_holds_the_lease(keepers: list[Keeper]) -> None:
    """The other one cannot acquire it until it is released."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.acquire(0)
    assert not await other.acquire(0)
    assert (one.is_valid(), other.is_valid()) == (True, False)
    await one.release()
    assert not one.is_valid()
    assert await other.acquire(0)
    assert other.is_valid()


async def test_it_expires_unless_it_is_renewed(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """It expires by the holder's clock, and a little later in Redis. A renewal counts from its request."""
    keeper = keepers[0]
    assert await keeper.lease.acquire(0)
    assert not keeper.lease.is_renewal_due()
    keeper.pass_time(RENEW_AFTER_NS / 1_000_000)
    assert keeper.lease.is_renewal_due()
    assert await keeper.lease.renew()
    assert not keeper.lease.is_renewal_due()
    keeper.pass_time(LEASE_MS - 1)
    assert keeper.lease.is_valid()
    keeper.pass_time(1)
    assert not keeper.lease.is_valid()
    assert 0 < await redis.pttl(f"{namespace}:lease") <= LEASE_MS
    assert not await keeper.lease.renew(), "an expired lease is not renewed but acquired, with a new term"


async def test_validity_counts_from_before_the_request(broker: Broker, namespace: str) -> None:
    """A slow reply does not make it longer."""
    keeper = Keeper(broker, namespace)

    class SlowRedis(Redis):
        async def eval(self, *arguments: Any) -> Any:
            keeper.pass_time(300)
            return await super().eval(*arguments)

    keeper.lease._connect = lambda: SlowRedis.from_url(broker.url)
    assert await keeper.lease.acquire(0)
    keeper.pass_time(LEASE_MS - 301)
    assert keeper.lease.is_valid()
    keeper.pass_time(1)
    assert not keeper.lease.is_valid()
    await keeper.lease.disconnect()


async def test_the_term_rises_above_all_known_terms(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Stored, received, or held before. An invalid stored term is ignored."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.acquire(0)
    assert one.term == 1
    await one.release()
    assert await other.acquire(0)
    assert other.term == 2
    await other.release()
    assert await one.acquire(received_term=40)
    assert one.term == 41
    await redis.flushall()
    assert await one.acquire(0)
    assert one.term == 42
    await redis.delete(f"{namespace}:lease")
    await redis.set(f"{namespace}:term", "rubbish")
    assert await other.acquire(7)
    assert other.term == 8


async def test_a_holder_that_lost_the_lease_finds_out(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Redis was emptied, and another ticker acquired it. The renewal fails, and does not affect the new holder."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.acquire(0)
    await redis.delete(f"{namespace}:lease")
    assert await other.acquire(0)
    assert not await one.renew()
    assert not one.is_valid()
    await one.release()
    assert await other.renew()


async def test_a_failed_attempt_returns_the_remaining_time(keepers: list[Keeper]) -> None:
    """So a standby need not ask again and again. It can also ask whether anybody holds the lease."""
    one, other = (keeper.lease for keeper in keepers)
    assert not await other.is_held()
    assert await one.acquire(0)
    assert await other.is_held()
    assert not await other.acquire(0)
    assert 0 < other.expires_in_s <= LEASE_MS / 1000


# --- Lost and foreign values in Redis ---


async def test_a_lease_that_redis_lost_is_acquired_again(
    keepers: list[Keeper], redis: Redis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a gap. The term rises the first time, and the advice is logged once an hour."""
    keeper, other = keepers[0], keepers[1].lease
    lease = keeper.lease
    assert await lease.acquire(0)
    terms = []
    for _ in range(3):
        await redis.delete(f"{namespace}:lease", f"{namespace}:term")
        keeper.pass_time(LEASE_MS / 2)
        assert await lease.renew()
        assert lease.is_valid()
        assert not lease.is_retained
        terms.append(lease.term)
        assert await redis.get(f"{namespace}:term") == str(lease.term).encode()
        assert 0 < await redis.pttl(f"{namespace}:lease") <= LEASE_MS
    assert 1 < terms[0] <= 1 + MAX_TERM_RISE
    assert len(set(terms)) == 1
    assert not await other.acquire(0)
    assert await lease.renew()
    assert lease.is_retained
    (line,) = caplog.messages
    assert "raise maxmemory" in line
    await redis.delete(f"{namespace}:lease")
    keeper.now_ns += WARN_AGAIN_AFTER_NS
    lease._set_validity(keeper.now_ns)
    assert await lease.renew()
    assert len(caplog.messages) == 2


async def test_a_lease_that_another_ticker_held_meanwhile_is_lost(
    keepers: list[Keeper], redis: Redis, namespace: str
) -> None:
    """The stored term shows that."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.acquire(0)
    await redis.delete(f"{namespace}:lease")
    assert await other.acquire(0)
    await other.release()
    assert not await one.renew()
    assert not one.is_valid()
    assert not await other.is_held()


async def test_a_term_that_redis_lost_is_stored_again(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """At the renewal. So the next holder's term is higher, although it received no tick."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.acquire(received_term=40)
    await redis.delete(f"{namespace}:term")
    assert await one.renew()
    assert (one.term, one.is_retained) == (41, True)
    await one.release()
    assert await other.acquire(0)
    assert other.term == 42


async def execute(redis: Any, command: str, *arguments: str) -> None:
    """Run a command."""
    await redis.execute_command(command, *arguments)


FOREIGN = {
    "no expiry": ["SET", "another"],
    "an expiry of a day": ["SET", "another", "PX", "86400000"],
    "a list": ["RPUSH", "another"],
    "a hash": ["HSET", "another", "field"],
}


@pytest.mark.parametrize("command", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_lease_is_replaced(
    keepers: list[Keeper], redis: Redis, namespace: str, command: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A value that no ticker can have written is nobody's lease. The log says so, and a present holder continues."""
    one, other = (keeper.lease for keeper in keepers)
    key = f"{namespace}:lease"
    await execute(redis, command[0], key, *command[1:])
    assert not await one.is_held()
    assert await one.acquire(0)
    assert 0 < await redis.pttl(key) <= LEASE_MS
    (line,) = caplog.messages
    assert key in line
    await redis.delete(key)
    await execute(redis, command[0], key, *command[1:])
    assert await one.renew()
    assert 0 < await redis.pttl(key) <= LEASE_MS
    assert not await other.acquire(0)
    await redis.delete(key)
    await execute(redis, command[0], key, *command[1:])
    await one.release()
    assert await redis.exists(key), "a foreign value is not deleted"


@pytest.mark.parametrize(
    "stored", ["rubbish", "-5", "nan", "inf", "1e3", "0x10", " 7", "3.5", "", str(MAX_TERM), str(2**64 - 1), "9" * 400]
)
async def test_an_invalid_stored_term_is_replaced(
    keepers: list[Keeper], redis: Redis, namespace: str, stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts as no term, and the log says so."""
    await redis.set(f"{namespace}:term", stored)
    lease = keepers[0].lease
    assert await lease.acquire(7)
    assert lease.term == 8
    (line,) = caplog.messages
    assert f"{namespace}:term" in line
    await lease.release()


async def test_a_stored_term_of_another_type_is_replaced(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """Also while the lease is held."""
    lease = keepers[0].lease
    await redis.rpush(f"{namespace}:term", "9")
    assert await lease.acquire(7)
    assert lease.term == 8
    await redis.delete(f"{namespace}:term")
    await redis.rpush(f"{namespace}:term", "9")
    assert await lease.renew()
    assert await redis.get(f"{namespace}:term") == b"8"


@pytest.mark.parametrize(
    ("stored", "held", "received", "term"),
    [
        ("5", 0, 2**64 - 1, 6),  # forged
        ("5", 0, 2**53 - 2, 6),
        ("5", 0, 5 + MAX_RECEIVED_RISE, 6 + MAX_RECEIVED_RISE),
        ("5", 0, 6 + MAX_RECEIVED_RISE, 6),
        ("", 40, 2**64 - 1, 41),
        ("", 0, 57, 58),  # Redis was emptied, and this ticker is new
        ("", 0, 100_000, 100_001),
        ("", 0, 2**64 - 1, 1),
        (str(MAX_TERM - 1), 0, 0, MAX_TERM),  # the highest, stored with all digits
        ("", MAX_TERM, 0, 1),  # after the highest it starts again
    ],
)
async def test_which_terms_are_credible(
    keepers: list[Keeper], redis: Redis, namespace: str, stored: str, held: int, received: int, term: int
) -> None:
    """Stored and held terms count, and a received term if it is near them."""
    if stored:
        await redis.set(f"{namespace}:term", stored)
    lease = keepers[0].lease
    lease.term = held
    assert await lease.acquire(received)
    assert lease.term == term
    assert await redis.get(f"{namespace}:term") == str(term).encode()


# --- Redis out of memory ---


@pytest.fixture(params=["redis", "the tests' broker"])
def full(directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server with little memory, which refuses writes above it."""
    options = ("--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
    server = Server(directory, *options) if request.param == "redis" else Broker(directory, *options)
    with server:
        yield f"redis://127.0.0.1:{server.port}"


async def fill(url: str) -> None:
    """Fill a server until it refuses more."""
    async with Redis.from_url(url) as redis:
        number = 0
        for size in (10_000, 100, 1):
            while True:
                number += 1
                try:
                    await redis.set(f"filling-{number}", "x" * size)
                except OutOfMemoryError:
                    break


@pytest.mark.parametrize("prefix", [ALLOW_OOM, ""], ids=["allow-oom", "as before Redis 7"])
async def test_the_lease_works_on_a_full_redis(full: str, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is acquired, renewed, released and acquired by the next ticker, with rising terms."""
    await fill(full)
    one, other = (Lease(lambda: Redis.from_url(full), "clock") for _ in range(2))
    one._script_prefix = other._script_prefix = prefix
    assert await one.acquire(0)
    assert await one.renew()
    assert one.is_retained
    assert not await other.acquire(0)
    await one.release()
    assert await other.acquire(0)
    assert (one.term, other.term) == (1, 2)
    await other.release()
    assert not caplog.messages


async def test_a_lease_that_redis_does_not_retain(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is acquired only once that is known. Several tickers then hold it with different terms."""
    with Server(directory, "--maxmemory", "100kb", "--maxmemory-policy", "allkeys-lru") as server:
        leases = [Lease(lambda: Redis.from_url(f"redis://{server.address}"), "clock") for _ in range(3)]
        for lease in leases:
            assert not await lease.acquire(0)
            assert not lease.is_retained
            assert not await lease.is_held()
        for lease in leases:
            assert await lease.acquire(0)
            assert await lease.renew()
        assert len({lease.term for lease in leases}) > 1
        assert len(caplog.messages) == len(leases)
        for lease in leases:
            await lease.release()


async def test_a_server_without_script_flags(broker: Broker, namespace: str) -> None:
    """The flag is a syntax error for it, so the scripts are sent without it from then on."""
    scripts: list[str] = []

    class OldRedis(Redis):
        async def eval(self, script: str, *arguments: Any) -> Any:
            scripts.append(script)
            if script.startswith("#!"):
                raise ResponseError("Error compiling script (new function): user_script:1: unexpected symbol near '#'")
            return await super().eval(script, *arguments)

    lease = Lease(lambda: OldRedis.from_url(broker.url), namespace)
    assert await lease.acquire(0)
    assert [script.startswith("#!") for script in scripts] == [True, False, False]
    await lease.release()


async def test_the_advice_about_memory_is_logged_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets the error each time."""

    class FullRedis(Redis):
        async def eval(self, *_: Any) -> Any:
            raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    lease = Lease(FullRedis, "clock")
    for _ in range(20):
        with pytest.raises(OutOfMemoryError):
            await lease.acquire(0)
    (line,) = caplog.messages
    assert "raise maxmemory" in line


async def test_a_lost_reply_does_no_harm(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """A ticker that holds the lease without knowing acquires it at the next attempt."""
    one, _ = (keeper.lease for keeper in keepers)
    await redis.set(f"{namespace}:lease", one._token, px=LEASE_MS)
    assert await one.acquire(0)


@pytest.fixture
def paused(directory: Path) -> Iterator[Broker]:
    """A broker that this test may pause."""
    with Broker(directory) as broker:
        yield broker


async def test_a_request_times_out_within_the_lease(
    paused: Broker, timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a third of it. The next attempt uses a new connection."""
    monkeypatch.setattr(module, "TIMEOUT_S", timeout_s)
    keeper = Keeper(paused, "clock")
    async with Redis.from_url(paused.url) as admin:
        await execute(admin, "CLIENT", "PAUSE", "500", "ALL")
        start = time.monotonic()
        with pytest.raises(UNAVAILABLE):
            await keeper.lease.acquire(0)
        assert time.monotonic() - start < LEASE_MS / 1000
        assert not keeper.lease.is_valid()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await keeper.lease.acquire(0)
                except UNAVAILABLE:
                    continue
                break
    await keeper.lease.disconnect()
