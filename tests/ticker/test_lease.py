"""The lease: who holds it, for how long, and with which term. Over a real broker, with a clock in the test's hands."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from clock.redis.outage import UNAVAILABLE
from testbed.processes import Broker
from testbed.redis_servers import Server
from ticker.lease import MAX_RISE, RENEW_AFTER_NS, WARN_AGAIN_AFTER_NS, Lease
from ticker.lease_scripts import ALLOW_OOM, LEASE_MS, MAX_TERM, NEAR


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
    """Redis was emptied, and another took it: extending says so, and harms nobody."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(0)
    await redis.delete(f"{namespace}:lease")
    assert await other.take(0)
    assert not await one.extend()
    assert not one.is_valid()
    await one.release()
    assert await other.extend()


async def test_a_refusal_says_for_how_long(keepers: list[Keeper]) -> None:
    """So that the lease need not be asked for again and again; and whether anybody holds it can be asked, too."""
    one, other = (keeper.lease for keeper in keepers)
    assert not await other.is_held()
    assert await one.take(0)
    assert await other.is_held()
    assert not await other.take(0)
    assert 0 < other.free_in <= LEASE_MS / 1000


# --- What Redis loses, and what others write there ---


async def test_what_redis_lost_is_taken_anew(
    keepers: list[Keeper], redis: Redis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a break, with a term that rises the first time; and the log says what may be wrong, once."""
    keeper, other = keepers[0], keepers[1].lease
    lease = keeper.lease
    assert await lease.take(0)
    terms = []
    for _ in range(3):
        await redis.delete(f"{namespace}:lease", f"{namespace}:term")
        keeper.pass_time(LEASE_MS / 2)
        assert await lease.extend()
        assert lease.is_valid()
        assert not lease.is_kept
        terms.append(lease.term)
        assert await redis.get(f"{namespace}:term") == str(lease.term).encode()
        assert 0 < await redis.pttl(f"{namespace}:lease") <= LEASE_MS
    assert 1 < terms[0] <= 1 + MAX_RISE
    assert len(set(terms)) == 1
    assert not await other.take(0)
    assert await lease.extend()
    assert lease.is_kept
    (line,) = caplog.messages
    assert "raise maxmemory" in line
    await redis.delete(f"{namespace}:lease")
    keeper.now += WARN_AGAIN_AFTER_NS
    lease._count_from(keeper.now)
    assert await lease.extend()
    assert len(caplog.messages) == 2


async def test_what_redis_lost_may_have_been_anothers_meanwhile(
    keepers: list[Keeper], redis: Redis, namespace: str
) -> None:
    """Then its term is stored, and the lease is lost."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(0)
    await redis.delete(f"{namespace}:lease")
    assert await other.take(0)
    await other.release()
    assert not await one.extend()
    assert not one.is_valid()
    assert not await other.is_held()


async def test_a_term_that_redis_lost_is_stored_again(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """While the lease is there: the next one's term is above it, though it heard nothing."""
    one, other = (keeper.lease for keeper in keepers)
    assert await one.take(heard_term=40)
    await redis.delete(f"{namespace}:term")
    assert await one.extend()
    assert (one.term, one.is_kept) == (41, True)
    await one.release()
    assert await other.take(0)
    assert other.term == 42


FOREIGN = {
    "no expiry": ["SET", "another"],
    "an expiry of a day": ["SET", "another", "PX", "86400000"],
    "a list": ["RPUSH", "another"],
    "a hash": ["HSET", "another", "field"],
}


@pytest.mark.parametrize("command", FOREIGN.values(), ids=FOREIGN)
async def test_a_lease_that_no_ticker_has_written(
    keepers: list[Keeper], redis: Redis, namespace: str, command: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is nobody's: it is replaced, which is said; and where it stands in for the holder's, the holder goes on."""
    one, other = (keeper.lease for keeper in keepers)
    key = f"{namespace}:lease"
    await redis.execute_command(command[0], key, *command[1:])
    assert not await one.is_held()
    assert await one.take(0)
    assert 0 < await redis.pttl(key) <= LEASE_MS
    (line,) = caplog.messages
    assert key in line
    await redis.delete(key)
    await redis.execute_command(command[0], key, *command[1:])
    assert await one.extend()
    assert 0 < await redis.pttl(key) <= LEASE_MS
    assert not await other.take(0)
    await redis.delete(key)
    await redis.execute_command(command[0], key, *command[1:])
    await one.release()
    assert await redis.exists(key), "what is not ours is not deleted"


@pytest.mark.parametrize(
    "stored", ["rubbish", "-5", "nan", "inf", "1e3", "0x10", " 7", "3.5", "", str(MAX_TERM), str(2**64 - 1), "9" * 400]
)
async def test_a_stored_term_that_is_none(
    keepers: list[Keeper], redis: Redis, namespace: str, stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts as none, and is replaced, which is said."""
    await redis.set(f"{namespace}:term", stored)
    lease = keepers[0].lease
    assert await lease.take(7)
    assert lease.term == 8
    (line,) = caplog.messages
    assert f"{namespace}:term" in line
    await lease.release()


async def test_a_stored_term_of_another_type(keepers: list[Keeper], redis: Redis, namespace: str) -> None:
    """The same; also while the lease is held."""
    lease = keepers[0].lease
    await redis.rpush(f"{namespace}:term", "9")
    assert await lease.take(7)
    assert lease.term == 8
    await redis.delete(f"{namespace}:term")
    await redis.rpush(f"{namespace}:term", "9")
    assert await lease.extend()
    assert await redis.get(f"{namespace}:term") == b"8"


@pytest.mark.parametrize(
    ("stored", "held", "heard", "term"),
    [
        ("5", 0, 2**64 - 1, 6),  # forged
        ("5", 0, 2**53 - 2, 6),
        ("5", 0, 5 + NEAR, 6 + NEAR),
        ("5", 0, 6 + NEAR, 6),
        ("", 40, 2**64 - 1, 41),
        ("", 0, 57, 58),  # Redis was emptied, and this ticker is new
        ("", 0, 100_000, 100_001),
        ("", 0, 2**64 - 1, 1),
        (str(MAX_TERM - 1), 0, 0, MAX_TERM),  # the highest: it is stored and told to the last figure
        ("", MAX_TERM, 0, 1),  # and the next begins again
    ],
)
async def test_terms_that_are_credible(
    keepers: list[Keeper], redis: Redis, namespace: str, stored: str, held: int, heard: int, term: int
) -> None:
    """What is stored or was held counts, and what was heard if it is near."""
    if stored:
        await redis.set(f"{namespace}:term", stored)
    lease = keepers[0].lease
    lease.term = held
    assert await lease.take(heard)
    assert lease.term == term
    assert await redis.get(f"{namespace}:term") == str(term).encode()


# --- Redis out of memory ---


@pytest.fixture(params=["redis", "the tests' broker"])
def full(directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A server at its limit, which takes nothing more; its address."""
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


@pytest.mark.parametrize("header", [ALLOW_OOM, ""], ids=["allow-oom", "as before Redis 7"])
async def test_the_lease_needs_no_memory(full: str, header: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is taken, extended, released and taken by the next, with terms that rise, on a Redis that is full."""
    await fill(full)
    one, other = (Lease(lambda: Redis.from_url(full), "clock") for _ in range(2))
    one._header = other._header = header
    assert await one.take(0)
    assert await one.extend()
    assert one.is_kept
    assert not await other.take(0)
    await one.release()
    assert await other.take(0)
    assert (one.term, other.term) == (1, 2)
    await other.release()
    assert not caplog.messages


async def test_a_lease_that_redis_cannot_keep(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """That it is free proves nothing: it is not taken, unless that is known. Two get different terms by then."""
    with Server(directory, "--maxmemory", "100kb", "--maxmemory-policy", "allkeys-lru") as server:
        leases = [Lease(lambda: Redis.from_url(f"redis://{server.address}"), "clock") for _ in range(3)]
        for lease in leases:
            assert not await lease.take(0)
            assert not lease.is_kept
            assert not await lease.is_held()
        for lease in leases:
            assert await lease.take(0)
            assert await lease.extend()
        assert len({lease.term for lease in leases}) > 1
        assert len(caplog.messages) == len(leases)
        for lease in leases:
            await lease.release()


async def test_a_server_that_does_not_know_the_flag(broker: Broker, namespace: str) -> None:
    """It takes the first line for a mistake; the scripts go without it from then on."""
    scripts: list[str] = []

    class Old(Redis):
        async def eval(self, script: str, *words: object) -> object:  # type: ignore[override]
            scripts.append(script)
            if script.startswith("#!"):
                raise ResponseError("Error compiling script (new function): user_script:1: unexpected symbol near '#'")
            return await super().eval(script, *words)  # type: ignore[arg-type,misc]

    lease = Lease(lambda: Old.from_url(broker.url), namespace)
    assert await lease.take(0)
    assert [script.startswith("#!") for script in scripts] == [True, False, False]
    await lease.release()


async def test_a_refusal_for_want_of_memory_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """Once an hour; that it failed is for the caller to see."""

    class Full(Redis):
        async def eval(self, *_: object) -> object:  # type: ignore[override]
            raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    lease = Lease(Full, "clock")
    for _ in range(20):
        with pytest.raises(OutOfMemoryError):
            await lease.take(0)
    (line,) = caplog.messages
    assert "raise maxmemory" in line


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
        with pytest.raises(UNAVAILABLE):
            await keeper.lease.take(0)
        assert time.monotonic() - start < LEASE_MS / 1000
        assert not keeper.lease.is_valid()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await keeper.lease.take(0)
                except UNAVAILABLE:
                    continue
                break
    await keeper.lease.hang_up()
