"""The comparison of clocks: with simulated delays, with a fake Redis, and with a real broker."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from clock.broadcast.relay import Relay
from clock.contract import Tick
from clock.redis import comparison as module
from clock.redis.comparison import MAX_DRIFT, Comparison, OffsetInterval, RedisClock, error_bound
from testbed.processes import Broker, Worker
from tournament.configuration.redis_host import CONNECTION_OPTIONS

OPTIONS: dict[str, Any] = {**CONNECTION_OPTIONS}

Chance = Callable[[], float]

# The delays of request and reply, in milliseconds, by a random number from 0 to 1.
DELAYS: dict[str, Callable[[Chance], tuple[float, float]]] = {
    "symmetric": lambda chance: (0.2 + chance(), 0.2 + chance()),
    "slow requests": lambda chance: (5 + chance(), 0.1),
    "slow replies": lambda chance: (0.1, 5 + chance()),
    "spikes": lambda chance: (0.2 + (chance() > 0.9) * 40 * chance(), 0.2 + (chance() > 0.9) * 40 * chance()),
}


@pytest.mark.parametrize("drift", [0, MAX_DRIFT, -MAX_DRIFT])
@pytest.mark.parametrize("delays", DELAYS.values(), ids=DELAYS.keys())
def test_the_offset_is_always_within_the_margin(delays: Callable[[Chance], tuple[float, float]], drift: float) -> None:
    """For all delays, and with the highest drift. The margin is no wider than the delays require."""
    chance = random.Random(7).random
    interval, now, shortest = OffsetInterval(), 5_000_000.0, float("inf")

    def server_clock() -> float:
        return 1_795_351_680_000 + (now - 5_000_000) * (1 + drift)

    for _ in range(500):
        sent = now
        request, reply = delays(chance)
        now += request
        server_time = server_clock()
        now += reply
        interval.add_round_trip(sent, now, server_time)
        shortest = min(shortest + 2 * MAX_DRIFT * 1_000, request + reply)
        for _ in range(4):
            ahead, margin = interval.read(now)
            assert abs(server_clock() - now - ahead) <= margin + 1e-3
            now += 250
        ahead, margin = interval.read(now)
        assert margin <= (shortest + 2 * MAX_DRIFT * 2_000) / 2 + 1e-3


def test_a_clock_that_was_set_is_measured_anew() -> None:
    """If a round trip contradicts the interval, only the round trip counts."""
    interval = OffsetInterval()
    interval.add_round_trip(0, 1, 1_000)
    interval.add_round_trip(10, 11, 5_010)
    assert interval.read(11) == pytest.approx((4_999.5, 0.5), abs=0.01)


def test_a_round_trip_during_which_the_clock_is_set_back_is_ignored() -> None:
    """So the margin is never negative: the workers would drop such ticks."""
    interval = OffsetInterval()
    interval.add_round_trip(0, 1, 1_000)
    known = interval.read(1)
    interval.add_round_trip(10, -3_600_000, 1_010)
    assert interval.read(1) == known


def test_before_the_first_round_trip_the_margin_is_infinite() -> None:
    """The offset is unknown."""
    assert OffsetInterval().read(5)[1] == float("inf")


def test_the_bound_is_the_difference_plus_margins_plus_drift() -> None:
    """The drift is that since the tick."""
    worker, ticker = Comparison("a", 1_000, 0.5), Comparison("a", 400, 0.25)
    bound = error_bound(10_603, now_ms=10_000, age_ms=1_000, worker=worker, ticker=ticker)
    assert bound == pytest.approx(3 + 0.75 + MAX_DRIFT * 1_000)


@pytest.mark.parametrize(
    ("worker", "ticker"),
    [
        (None, Comparison("a", 0, 1)),
        (Comparison("a", 0, 1), None),
        (Comparison("a", 0, 1), Comparison("b", 0, 1)),  # after a failover of Redis there are two clocks
        (Comparison("a", 0, 1), Comparison("a", 0, float("inf"))),
        (Comparison("a", 0, 1), Comparison("a", float("nan"), 1)),
    ],
)
def test_an_unknown_bound_is_none(worker: Comparison | None, ticker: Comparison | None) -> None:
    """It is not zero."""
    assert error_bound(0, now_ms=0, age_ms=0, worker=worker, ticker=ticker) is None


def test_a_relay_without_a_comparison_has_no_bound() -> None:
    """It still has the time."""
    relay = Relay(lambda: None)
    relay.tick_filter.accept(Tick(1_000, "x", server="a", ahead=1.0, margin=1.0))
    instant = relay.instant()
    assert instant is not None
    assert instant.bound is None
    assert instant.at >= 1_000


async def test_the_offset_to_a_real_broker(broker: Broker) -> None:
    """It is within the margin, because the broker has this machine's clock. After `reset` it is unknown."""
    clock = RedisClock(lambda: Redis.from_url(broker.url, **OPTIONS), lambda: time.time() * 1_000 + 5_000)
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(10):
        while (comparison := clock.read()) is None:
            await asyncio.sleep(0.01)
    assert abs(comparison.ahead + 5_000) <= comparison.margin < 100
    clock.reset()
    assert clock.read() is None
    running.cancel()
    await asyncio.wait({running})


# --- With a fake Redis ---

INFO, TIME = b"run_id:5f0c1d6e\r\n", b"*2\r\n$10\r\n1795351680\r\n$6\r\n120000\r\n"


def bulk(data: bytes) -> bytes:
    """Return a bulk string reply."""
    return b"$%d\r\n%s\r\n" % (len(data), data)


class FakeRedis:
    """A server that sends the replies that a test sets."""

    def __init__(self) -> None:
        self.replies = {b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"INFO": bulk(INFO), b"TIME": TIME}
        self.requests = 0
        self.port = 0
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a connection."""
        self.connections.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while count := await reader.readline():
                words = []
                for _ in range(int(count[1:])):
                    length = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(length + 2))[:-2])
                self.requests += words[0] in {b"INFO", b"TIME"}
                writer.write(self.replies.get(words[0], b"+OK\r\n"))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def fake_redis(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeRedis]:
    """A fake Redis, and a short interval between requests."""
    monkeypatch.setattr(module, "INTERVAL_S", 0.002)
    monkeypatch.setattr(module, "FIRST_INTERVAL_S", 0.002)
    redis = FakeRedis()
    server = await asyncio.start_server(redis.accept, "127.0.0.1", 0)
    redis.port = server.sockets[0].getsockname()[1]
    yield redis
    server.close()
    await server.wait_closed()
    await asyncio.gather(*redis.connections)


@pytest.fixture
async def clock(fake_redis: FakeRedis) -> AsyncIterator[RedisClock]:
    """A comparison with it, which must still run at the end of the test."""
    clock = RedisClock(lambda: Redis(port=fake_redis.port, **OPTIONS), lambda: time.monotonic() * 1_000)
    running = asyncio.create_task(clock.run())
    yield clock
    assert not running.done()
    running.cancel()
    await asyncio.wait({running})


async def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def wait_for_requests(redis: FakeRedis) -> None:
    """Wait for a few more requests."""
    requests = redis.requests
    await wait_for(lambda: redis.requests > requests + 6)


async def test_without_a_run_id_the_bound_is_unknown_until_there_is_one(
    fake_redis: FakeRedis, clock: RedisClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one line, and another one when the bound is known again."""
    caplog.set_level("INFO", "clock")
    fake_redis.replies[b"INFO"] = bulk(b"redis_version:7.0.0\r\n")
    await wait_for_requests(fake_redis)
    assert clock.read() is None
    (line,) = caplog.messages
    assert line.startswith("the error bound is unknown, retrying: this Redis has no run_id in INFO server")
    fake_redis.replies[b"INFO"] = bulk(INFO)
    await wait_for(clock.read)
    await wait_for(lambda: len(caplog.messages) > 1)
    assert caplog.messages[1:] == ["the error bound is known again"]


@pytest.mark.parametrize(
    "info",
    [
        b":1\r\n",
        b"*0\r\n",
        b"*1\r\n*1\r\n:1\r\n",
        b"_\r\n",
        b"$-1\r\n",
        b"#t\r\n",
        b",inf\r\n",
        b"%1\r\n+run_id\r\n+x\r\n",
        bulk(b""),
        bulk(b"run_id"),
        bulk(b"run_id:\r\n"),
        bulk(b"run_id:1.5\r\n"),
        bulk(b"run_id:a,b\r\n"),
        bulk(b"run_id:a=b,c=d\r\n"),
        bulk(b"\xff\xfe\x00:::\r\n"),
        b"-NOPERM this user has no permissions to run the 'info' command\r\n",
        b"-ERR unknown command\r\n",
        b"?\r\n",
    ],
    ids=repr,
)
async def test_an_invalid_reply_to_info(
    fake_redis: FakeRedis, clock: RedisClock, info: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is repeated until the reply is valid."""
    caplog.set_level("INFO", "clock")
    fake_redis.replies[b"INFO"] = info
    await wait_for_requests(fake_redis)
    assert clock.read() is None
    assert len(caplog.messages) == (0 if info == b"?\r\n" else 1)  # not a reply: Redis counts as unavailable
    fake_redis.replies[b"INFO"] = bulk(INFO)
    await wait_for(clock.read)


@pytest.mark.parametrize(
    "reply",
    [
        b":1795351680\r\n",
        b"*0\r\n",
        b"*1\r\n:1\r\n",
        b"_\r\n",
        b"*2\r\n_\r\n_\r\n",
        b"*2\r\n+soon\r\n+later\r\n",
        b"*2\r\n:-1\r\n:0\r\n",
        b"*2\r\n:1\r\n:1000000\r\n",
        b"*2\r\n:253402300800\r\n:0\r\n",
        b"*2\r\n" + bulk(b"9" * 400) + b":0\r\n",
        b"*2\r\n,inf\r\n,nan\r\n",
        b"%1\r\n:0\r\n:1\r\n",
        b"-NOPERM this user has no permissions to run the 'time' command\r\n",
    ],
    ids=repr,
)
async def test_an_invalid_reply_to_time(
    fake_redis: FakeRedis, clock: RedisClock, reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The last comparison stays valid."""
    caplog.set_level("INFO", "clock")
    await wait_for(clock.read)
    fake_redis.replies[b"TIME"] = reply
    await wait_for_requests(fake_redis)
    known = clock.read()
    assert known is not None
    assert known.ahead == pytest.approx(1_795_351_680_120 - time.monotonic() * 1_000, abs=2_000)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the error bound is unknown, retrying: ")
    fake_redis.replies[b"TIME"] = TIME
    await wait_for(lambda: caplog.messages[1:] == ["the error bound is known again"])


async def test_alternating_replies_do_not_fill_the_log(
    fake_redis: FakeRedis, clock: RedisClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the first few changes are logged."""
    caplog.set_level("INFO", "clock")
    for _ in range(20):
        for reply in (b"*0\r\n", TIME):
            fake_redis.replies[b"TIME"] = reply
            await wait_for_requests(fake_redis)
    assert len(caplog.messages) <= 12


async def test_a_run_id_of_digits_is_valid(fake_redis: FakeRedis, clock: RedisClock) -> None:
    """redis-py turns it into a number."""
    fake_redis.replies[b"INFO"] = bulk(b"run_id:" + b"1" * 40 + b"\r\n")
    await wait_for(lambda: (known := clock.read()) and known.server == "1" * 40)


async def test_a_long_run_id_is_truncated(fake_redis: FakeRedis, clock: RedisClock) -> None:
    """So the ticks that carry it are valid."""
    fake_redis.replies[b"INFO"] = bulk(b"run_id:" + b"x" * 4_000 + b"\r\n")
    await wait_for(lambda: (known := clock.read()) and known.server[0] == "x")
    known = clock.read()
    assert known is not None
    tick = Tick(10, "x", 0, 0, None, *known)
    assert Tick.from_message(tick.message()) == tick


def test_the_time_of_a_worker_is_within_its_bound(worker: Worker) -> None:
    """Here the ticker's clock is this machine's."""
    deadline = time.monotonic() + 20
    while True:
        before = time.time() * 1_000
        response = json.loads(worker.get("/clock/now")[1])
        after = time.time() * 1_000
        if response["bound"] is not None:
            break
        assert time.monotonic() < deadline, response
        time.sleep(0.05)
    assert before - response["bound"] <= response["at"] <= after + response["bound"]
