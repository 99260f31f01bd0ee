"""The comparison of clocks: what round trips prove, in simulated delays; then over a real broker."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from clock.broadcast.relay import Relay
from clock.contract import Tick
from clock.redis import comparison
from clock.redis.comparison import DRIFT, Comparison, Interval, RedisClock, bound
from testbed.processes import Broker, Worker
from tournament.configuration.redis_host import SERVER

DELAYS = {
    "symmetric": lambda chance: (0.2 + chance(), 0.2 + chance()),
    "all on the way there": lambda chance: (5 + chance(), 0.1),
    "all on the way back": lambda chance: (0.1, 5 + chance()),
    "with spikes": lambda chance: (0.2 + (chance() > 0.9) * 40 * chance(), 0.2 + (chance() > 0.9) * 40 * chance()),
}


@pytest.mark.parametrize("drift", [0, DRIFT, -DRIFT])
@pytest.mark.parametrize("delays", DELAYS.values(), ids=DELAYS.keys())
def test_the_offset_is_always_within_the_margin(delays: object, drift: float) -> None:
    """Whatever the delays, and while the clocks drift apart as fast as they may; and no wider than needed."""
    chance = random.Random(7).random
    interval, now, least = Interval(), 5_000_000.0, float("inf")

    def theirs() -> float:
        return 1_795_351_680_000 + (now - 5_000_000) * (1 + drift)

    for _ in range(500):
        sent = now
        there, back = delays(chance)  # type: ignore[operator]
        now += there
        told = theirs()
        now += back
        interval.learn(sent, now, told)
        least = min(least + 2 * DRIFT * 1_000, there + back)
        for _ in range(4):
            ahead, margin = interval.read(now)
            assert abs(theirs() - now - ahead) <= margin + 1e-3
            now += 250
        ahead, margin = interval.read(now)
        assert margin <= (least + 2 * DRIFT * 2_000) / 2 + 1e-3


def test_a_clock_that_was_set_is_learnt_anew() -> None:
    """What was known contradicts what is learnt: the new is believed."""
    interval = Interval()
    interval.learn(0, 1, 1_000)
    interval.learn(10, 11, 5_010)
    assert interval.read(11) == pytest.approx((4_999.5, 0.5), abs=0.01)


def test_a_clock_that_is_set_back_during_a_round_trip_proves_nothing() -> None:
    """No margin is ever below zero: the workers would drop the ticks that tell it."""
    interval = Interval()
    interval.learn(0, 1, 1_000)
    known = interval.read(1)
    interval.learn(10, -3_600_000, 1_010)
    assert interval.read(1) == known


def test_before_the_first_round_trip_nothing_is_known() -> None:
    """Not even a little."""
    assert Interval().read(5)[1] == float("inf")


def test_the_bound_is_what_is_seen_and_what_is_not_known() -> None:
    """The difference that was found, both margins, and what the ticker's clock may have drifted since the tick."""
    here, there = Comparison("a", 1_000, 0.5), Comparison("a", 400, 0.25)
    assert bound(at=10_603, now=10_000, age=1_000, here=here, there=there) == pytest.approx(3 + 0.75 + DRIFT * 1_000)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (None, Comparison("a", 0, 1)),
        (Comparison("a", 0, 1), None),
        (Comparison("a", 0, 1), Comparison("b", 0, 1)),  # after a failover: two Redis, and two clocks
        (Comparison("a", 0, 1), Comparison("a", 0, float("inf"))),
        (Comparison("a", 0, 1), Comparison("a", float("nan"), 1)),
    ],
)
def test_where_it_is_not_known_it_is_not_said(here: Comparison | None, there: Comparison | None) -> None:
    """None is unknown, which is not zero."""
    assert bound(at=0, now=0, age=0, here=here, there=there) is None


def test_a_relay_without_a_comparison_says_unknown() -> None:
    """The time itself is told all the same."""
    relay = Relay(lambda: None)
    relay.tick_filter.take(Tick(1_000, "x", server="a", ahead=1.0, margin=1.0))
    instant = relay.instant()
    assert instant is not None
    assert instant.bound is None
    assert instant.at >= 1_000


async def test_over_a_real_broker_the_offset_is_found(broker: Broker) -> None:
    """To a millisecond, for it is this machine's own clock; and unknown again when it is to be forgotten."""
    clock = RedisClock(lambda: Redis.from_url(broker.url, **SERVER), lambda: time.time() * 1_000 + 5_000)
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(10):
        while (found := clock.read()) is None:
            await asyncio.sleep(0.01)
    assert abs(found.ahead + 5_000) <= found.margin < 100
    clock.forget()
    assert clock.read() is None
    running.cancel()
    await asyncio.wait({running})


# --- A server that is nearly Redis ---


INFO, TIME = b"run_id:5f0c1d6e\r\n", b"*2\r\n$10\r\n1795351680\r\n$6\r\n120000\r\n"


def bulk(data: bytes) -> bytes:
    """Return a reply that is a text."""
    return b"$%d\r\n%s\r\n" % (len(data), data)


class AlmostRedis:
    """A server that answers as the test says."""

    def __init__(self) -> None:
        self.replies = {b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"INFO": bulk(INFO), b"TIME": TIME}
        self.asked = 0
        self.port = 0
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.connections.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while count := await reader.readline():
                words = []
                for _ in range(int(count[1:])):
                    length = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(length + 2))[:-2])
                self.asked += words[0] in {b"INFO", b"TIME"}
                writer.write(self.replies.get(words[0], b"+OK\r\n"))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def almost_redis(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AlmostRedis]:
    """A server that is asked often."""
    monkeypatch.setattr(comparison, "INTERVAL", 0.01)
    redis = AlmostRedis()
    server = await asyncio.start_server(redis.accept, "127.0.0.1", 0)
    redis.port = server.sockets[0].getsockname()[1]
    yield redis
    server.close()
    await server.wait_closed()
    await asyncio.gather(*redis.connections)


@pytest.fixture
async def clock(almost_redis: AlmostRedis) -> AsyncIterator[RedisClock]:
    """A comparison with it, under way; it must not have ended when the test does."""
    clock = RedisClock(lambda: Redis(port=almost_redis.port, **SERVER), lambda: time.monotonic() * 1_000)
    running = asyncio.create_task(clock.run())
    yield clock
    assert not running.done()
    running.cancel()
    await asyncio.wait({running})


async def until(condition: Callable[[], object]) -> None:
    """Wait for something."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def asked_again(redis: AlmostRedis) -> None:
    """Wait until it has been asked some more."""
    asked = redis.asked
    await until(lambda: redis.asked > asked + 6)


async def test_without_a_run_id_the_bound_is_unknown_until_there_is_one(
    almost_redis: AlmostRedis, clock: RedisClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and once when the clocks can be compared again."""
    caplog.set_level("INFO", "clock")
    almost_redis.replies[b"INFO"] = bulk(b"redis_version:7.0.0\r\n")
    await asked_again(almost_redis)
    assert clock.read() is None
    (line,) = caplog.messages
    assert line.startswith("the bound is unknown, still trying: this Redis has no run_id in INFO server")
    almost_redis.replies[b"INFO"] = bulk(INFO)
    await until(clock.read)
    await until(lambda: len(caplog.messages) > 1)
    assert caplog.messages[1:] == ["the clocks can be compared again"]


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
async def test_info_of_any_shape(
    almost_redis: AlmostRedis, clock: RedisClock, info: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again until the answer is one."""
    caplog.set_level("INFO", "clock")
    almost_redis.replies[b"INFO"] = info
    await asked_again(almost_redis)
    assert clock.read() is None
    assert len(caplog.messages) == (0 if info == b"?\r\n" else 1)  # that is as if Redis were away
    almost_redis.replies[b"INFO"] = bulk(INFO)
    await until(clock.read)


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
async def test_time_of_any_shape(
    almost_redis: AlmostRedis, clock: RedisClock, reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What was known before stays known."""
    caplog.set_level("INFO", "clock")
    await until(clock.read)
    almost_redis.replies[b"TIME"] = reply
    await asked_again(almost_redis)
    known = clock.read()
    assert known is not None
    assert known.ahead == pytest.approx(1_795_351_680_120 - time.monotonic() * 1_000, abs=2_000)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the bound is unknown, still trying: ")
    almost_redis.replies[b"TIME"] = TIME
    await until(lambda: caplog.messages[1:] == ["the clocks can be compared again"])


async def test_a_server_that_changes_its_mind_does_not_flood_the_log(
    almost_redis: AlmostRedis, clock: RedisClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A line each for the first few changes."""
    caplog.set_level("INFO", "clock")
    for _ in range(40):
        almost_redis.replies[b"TIME"] = b"*0\r\n"
        await asyncio.sleep(0.02)
        almost_redis.replies[b"TIME"] = TIME
        await asyncio.sleep(0.02)
    assert len(caplog.messages) <= 12


async def test_a_run_id_of_digits(almost_redis: AlmostRedis, clock: RedisClock) -> None:
    """Which redis-py makes a number; and one that is too long for a tick."""
    almost_redis.replies[b"INFO"] = bulk(b"run_id:" + b"1" * 40 + b"\r\n")
    await until(lambda: (known := clock.read()) and known.server == "1" * 40)


async def test_a_run_id_that_is_long(almost_redis: AlmostRedis, clock: RedisClock) -> None:
    """A tick that tells it is valid."""
    almost_redis.replies[b"INFO"] = bulk(b"run_id:" + b"x" * 4_000 + b"\r\n")
    await until(lambda: (known := clock.read()) and known.server[0] == "x")
    known = clock.read()
    assert known is not None
    tick = Tick(10, "x", 0, 0, None, *known)
    assert Tick.from_message(tick.message()) == tick


def test_the_worker_states_its_bound(worker: Worker) -> None:
    """And the time is within it: here the ticker's clock is this machine's."""
    deadline = time.monotonic() + 20
    while True:
        before = time.time() * 1_000
        told = json.loads(worker.get("/clock/now")[1])
        after = time.time() * 1_000
        if told["bound"] is not None:
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    assert before - told["bound"] <= told["at"] <= after + told["bound"]
