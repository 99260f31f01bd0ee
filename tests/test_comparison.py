"""The comparison of clocks: what round trips prove, in simulated delays; then over a real broker."""

import asyncio
import json
import random
import time

import pytest
from redis.asyncio import Redis

from bench.stack import Broker, Worker
from clock.comparison import DRIFT, Comparison, Interval, RedisClock, bound
from clock.contract import Tick
from clock.relay import Relay

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
    relay.succession.take(Tick(1_000, "x", server="a", ahead=1.0, margin=1.0))
    instant = relay.instant()
    assert instant is not None
    assert instant.bound is None
    assert instant.at >= 1_000


async def test_over_a_real_broker_the_offset_is_found(broker: Broker) -> None:
    """To a millisecond, for it is this machine's own clock; and unknown again when it is to be forgotten."""
    clock = RedisClock(lambda: Redis.from_url(broker.url), lambda: time.time() * 1_000 + 5_000)
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(10):
        while (found := clock.read()) is None:
            await asyncio.sleep(0.01)
    assert abs(found.ahead + 5_000) <= found.margin < 100
    clock.forget()
    assert clock.read() is None
    running.cancel()
    await asyncio.wait({running})


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
