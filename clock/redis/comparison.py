"""The comparison of clocks: by how much the clock of Redis is ahead of one here, and how well that is known.

One-way delays prove nothing: a tick that came may have been under way for any time. A round trip does: what Redis said
was true at some moment between question and answer. Ticker and worker each compare with the same Redis, and so with
each other. All times are milliseconds.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from clock.contract import MAX_AT, MAX_OFFSET, MAX_SERVER_LENGTH
from clock.process.state_log import StateLog
from clock.redis.outage import UNAVAILABLE, describe

logger = logging.getLogger(__name__)

# How far two clocks may drift apart: what NTP slews with crystals that are not bad. It widens what was learnt.
DRIFT: Final = 200e-6

# Seconds between two comparisons; the first few follow at once.
INTERVAL: Final = 1.0
FIRST_FEW: Final = 5

# Seconds that an answer may take.
PATIENCE: Final = 1.0

# What is logged of it: the clocks can be compared, or not.
COMPARED, NOT_COMPARED = "compared", "not compared"


class NoComparison(Exception):
    """Redis does not answer as it must for its clock to be compared; the text says what is wrong."""


class Comparison(NamedTuple):
    """Redis is `ahead` of a clock here, give or take `margin`. `server` says which Redis: its `run_id`."""

    server: str
    ahead: float
    margin: float


class Interval:
    """Bounds of an offset between two clocks, which all that is learnt makes tighter and time makes wider.

    After Marzullo, "Maintaining the Time in a Distributed System" (1983): intervals are intersected, rather than the
    best of them trusted. As all of them widen alike, the tightest bound from either side is all that need be kept.
    """

    def __init__(self) -> None:
        self._low, self._high, self._as_of = float("-inf"), float("inf"), 0.0

    def learn(self, sent: float, received: float, told: float) -> None:
        """Take in a round trip. If it contradicts what was known, a clock was set, and that is forgotten."""
        if received < sent:  # the clock here was set meanwhile, so this proves nothing
            return
        low, high = self._at(received)
        new_low, new_high = told - received, told - sent + DRIFT * (received - sent)
        if new_low > high or new_high < low:
            low, high = new_low, new_high
        self._low, self._high, self._as_of = max(low, new_low), min(high, new_high), received

    def read(self, now: float) -> tuple[float, float]:
        """Return the offset and its margin, which is infinite before the first round trip."""
        low, high = self._at(now)
        return (low + high) / 2, (high - low) / 2

    def _at(self, now: float) -> tuple[float, float]:
        drifted = DRIFT * max(0.0, now - self._as_of)
        return self._low - drifted, self._high + drifted


def bound(at: float, now: float, age: float, here: Comparison | None, there: Comparison | None) -> float | None:
    """Return by how much `at` may differ from what the ticker's clock shows now; None where that is not known.

    `now` is by the clock that is compared `here`; `there` is the ticker's comparison, which is `age` old.
    """
    if here is None or there is None or here.server != there.server:
        return None
    shown_there = now + here.ahead - there.ahead
    found = abs(shown_there - at) + here.margin + there.margin + DRIFT * age
    return found if math.isfinite(found) else None


class RedisClock:
    """Compares a clock here with that of Redis, again and again."""

    def __init__(self, connect: Callable[[], Redis], clock: Callable[[], float]) -> None:
        self._connect = connect
        self._clock = clock
        self._server = ""
        self._interval = Interval()
        self._log = StateLog(logger)

    def forget(self) -> None:
        """Know nothing until the next comparison: the clock here was set."""
        self._server = ""

    def read(self) -> Comparison | None:
        """Return what is known now, within what a tick can tell."""
        if not self._server:
            return None
        ahead, margin = self._interval.read(self._clock())
        return Comparison(self._server, ahead, margin) if abs(ahead) <= MAX_OFFSET and margin <= MAX_OFFSET else None

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            try:
                await self._connect_and_compare()
            except (ResponseError, NoComparison) as error:
                reason = describe(error) if isinstance(error, ResponseError) else error
                self._log.enter(NOT_COMPARED, logging.WARNING, f"the bound is unknown, still trying: {reason}")
            except UNAVAILABLE as error:
                logger.debug("the clock of Redis cannot be had: %s", describe(error))
            await asyncio.sleep(INTERVAL)

    async def _connect_and_compare(self) -> None:
        redis = self._connect()
        try:
            await self._compare(redis)
        finally:
            await redis.connection_pool.aclose()

    async def _compare(self, redis: Redis) -> None:
        server = _server_in(await _ask(redis.info, "server"))
        compared = 0
        while True:
            sent = self._clock()
            reply = await _ask(redis.time)
            received = self._clock()
            told = _time_in(reply)
            if server != self._server:  # another machine, perhaps
                self._server, self._interval = server, Interval()
            self._interval.learn(sent, received, told)
            compared += 1
            if self._log.logged == NOT_COMPARED:
                self._log.enter(COMPARED, logging.INFO, "the clocks can be compared again")
            await asyncio.sleep(INTERVAL if compared >= FIRST_FEW else 0.01)


async def _ask(command: Callable[..., Any], *words: str) -> Any:
    """Return an answer.

    Raises:
        RedisError, OSError: there is none.
        NoComparison: redis-py cannot read it.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await command(*words)
    except UNAVAILABLE:
        raise
    except Exception as error:
        raise NoComparison(f"redis-py cannot read an answer of this Redis ({type(error).__name__})") from error


def _server_in(info: Any) -> str:
    """Return which server it is that answers INFO so: the `run_id`, which redis-py makes a number if it looks like one.

    Raises:
        NoComparison: it does not say.
    """
    run_id = info.get("run_id") if isinstance(info, dict) else None
    if type(run_id) is int:
        run_id = str(run_id)
    if type(run_id) is not str or not run_id:
        raise NoComparison("this Redis has no run_id in INFO server, by which one server is told from another")
    return run_id[:MAX_SERVER_LENGTH]


def _time_in(reply: Any) -> float:
    """Return the milliseconds that an answer to TIME tells.

    Raises:
        NoComparison: it tells no valid time.
    """
    if isinstance(reply, tuple | list) and [type(number) for number in reply] == [int, int]:
        seconds, microseconds = reply
        if 0 <= seconds <= MAX_AT // 1_000 and 0 <= microseconds < 1_000_000:  # noqa: PLR2004 - as many are a second
            return float(seconds * 1_000 + microseconds / 1_000)
    raise NoComparison("this Redis answers TIME with what is no valid time")
