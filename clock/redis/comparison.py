"""The comparison of clocks: the offset between the clock of Redis and a local clock, and its margin of error.

One-way delays prove nothing, because a tick can have been under way for any time. A round trip does: the time that
Redis reports was true at some moment between request and reply. Ticker and worker each compare their clock with the
same Redis, and so with each other. All times in this module are milliseconds unless their name says otherwise.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from clock.contract import MAX_AT_MS, MAX_OFFSET_MS, MAX_SERVER_ID_LENGTH
from clock.process.state_log import StateLog
from clock.redis.closing import close
from clock.redis.outage import UNAVAILABLE, describe

logger = logging.getLogger(__name__)

# The highest relative drift between two clocks: what NTP slews with crystals of usual quality. It widens the margin.
MAX_DRIFT: Final = 200e-6

# The pause between two round trips. The first few follow each other quickly.
INTERVAL_S: Final = 1.0
FIRST_INTERVAL_S: Final = 0.01
FIRST_COUNT: Final = 5

# The longest wait for a reply.
TIMEOUT_S: Final = 1.0

# The states that are logged.
COMPARED, NOT_COMPARED = "compared", "not compared"


class ComparisonError(Exception):
    """Redis sends no reply by which its clock can be compared. The text says what is wrong."""


class Comparison(NamedTuple):
    """The clock of Redis is `ahead` of a local clock, ± `margin`. `server` is the `run_id` of that Redis."""

    server: str
    ahead: float
    margin: float


class OffsetInterval:
    """The lowest and the highest possible offset between two clocks. Round trips narrow it, and time widens it.

    After Marzullo, "Maintaining the Time in a Distributed System" (1983): intervals are intersected, rather than the
    best one selected. All intervals widen at the same rate, so it is enough to keep the tightest bound of each side.
    """

    def __init__(self) -> None:
        self._low, self._high, self._updated_at = float("-inf"), float("inf"), 0.0

    def add_round_trip(self, sent: float, received: float, server_time: float, *, error: float = 0.0) -> bool:
        """Narrow the interval by an answer that is off by at most `error`.

        Return whether it agrees with the interval. If it does not, a clock was set, and the interval starts anew.
        """
        if received < sent:  # the local clock was set back meanwhile, so this round trip proves nothing
            return True
        low, high = server_time - error - received, server_time + error - sent + MAX_DRIFT * (received - sent)
        return self._narrow(received, low, high)

    def add_arrival(self, received: float, server_time: float) -> bool:
        """Narrow the interval by a message without a request: when it arrived, the other clock showed at least this.

        Return whether it agrees with the interval, as `add_round_trip` does.
        """
        return self._narrow(received, server_time - received, float("inf"))

    def _narrow(self, received: float, new_low: float, new_high: float) -> bool:
        low, high = self._at(received)
        agrees = new_low <= high and new_high >= low
        if not agrees:
            low, high = new_low, new_high
        self._low, self._high, self._updated_at = max(low, new_low), min(high, new_high), received
        return agrees

    def read(self, now: float) -> tuple[float, float]:
        """Return the offset and its margin. The margin is infinite before the first round trip."""
        low, high = self._at(now)
        return (low + high) / 2, (high - low) / 2

    def _at(self, now: float) -> tuple[float, float]:
        drift = MAX_DRIFT * max(0.0, now - self._updated_at)
        return self._low - drift, self._high + drift


def error_bound(
    at: float, *, now_ms: float, age_ms: float, worker: Comparison | None, ticker: Comparison | None
) -> float | None:
    """Return the highest possible difference between `at` and the ticker's clock, or None if it is unknown.

    `now_ms` is the worker's clock, the one that `worker` compares. `ticker` is the ticker's comparison, which arrived
    `age_ms` ago. The bound is the measured difference, plus both margins, plus the possible drift since then.
    """
    if worker is None or ticker is None or worker.server != ticker.server:
        return None
    ticker_now = now_ms + worker.ahead - ticker.ahead
    bound = abs(ticker_now - at) + worker.margin + ticker.margin + MAX_DRIFT * age_ms
    return bound if math.isfinite(bound) else None


class RedisClock:
    """Compares a local clock with the clock of Redis, once a second. `clock` reads the local one in milliseconds."""

    def __init__(self, connect: Callable[[], Redis], clock: Callable[[], float]) -> None:
        self._connect = connect
        self._clock = clock
        self._server = ""
        self._interval = OffsetInterval()
        self._log = StateLog(logger)

    def reset(self) -> None:
        """Forget the offset until the next round trip: the local clock was set."""
        self._server = ""

    def read(self) -> Comparison | None:
        """Return the present comparison, or None if it is unknown or out of the range that a tick can carry."""
        if not self._server:
            return None
        ahead, margin = self._interval.read(self._clock())
        is_valid = abs(ahead) <= MAX_OFFSET_MS and margin <= MAX_OFFSET_MS
        return Comparison(self._server, ahead, margin) if is_valid else None

    async def run(self) -> None:
        """Compare forever."""
        while True:
            try:
                await self._connect_and_compare()
            except (ResponseError, ComparisonError) as error:
                reason = describe(error) if isinstance(error, ResponseError) else error
                self._log.enter(NOT_COMPARED, logging.WARNING, f"the error bound is unknown, retrying: {reason}")
            except UNAVAILABLE as error:  # the relay or the ticker logs the outage
                logger.debug("cannot read the clock of Redis: %s", describe(error))
            await asyncio.sleep(INTERVAL_S)

    async def _connect_and_compare(self) -> None:
        redis = self._connect()
        try:
            await self._compare(redis)
        finally:
            await close(redis.connection_pool)

    async def _compare(self, redis: Redis) -> None:
        server = _parse_info(await _request(redis.info, "server"))
        count = 0
        while True:
            sent = self._clock()
            reply = await _request(redis.time)
            received = self._clock()
            server_time = _parse_time(reply)
            if server != self._server:  # after a failover it is the clock of another machine
                self._server, self._interval = server, OffsetInterval()
            self._interval.add_round_trip(sent, received, server_time)
            count += 1
            if self._log.logged == NOT_COMPARED:
                self._log.enter(COMPARED, logging.INFO, "the error bound is known again")
            await asyncio.sleep(INTERVAL_S if count >= FIRST_COUNT else FIRST_INTERVAL_S)


async def _request(command: Callable[..., Any], *arguments: str) -> Any:
    """Return the reply to a command.

    Raises:
        RedisError, OSError: Redis is unavailable or refuses the command.
        ComparisonError: redis-py cannot parse the reply.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await command(*arguments)
    except UNAVAILABLE:
        raise
    except Exception as error:
        raise ComparisonError(f"redis-py cannot parse a reply of this Redis ({type(error).__name__})") from error


def _parse_info(info: Any) -> str:
    """Return the `run_id` in a reply to INFO. redis-py turns it into a number if it looks like one.

    Raises:
        ComparisonError: there is none.
    """
    run_id = info.get("run_id") if isinstance(info, dict) else None
    if type(run_id) is int:
        run_id = str(run_id)
    if type(run_id) is not str or not run_id:
        raise ComparisonError("this Redis has no run_id in INFO server, which identifies a server")
    return run_id[:MAX_SERVER_ID_LENGTH]


def _parse_time(reply: Any) -> float:
    """Return the milliseconds since the Unix epoch in a reply to TIME.

    Raises:
        ComparisonError: the reply is not a valid time.
    """
    if isinstance(reply, tuple | list) and [type(number) for number in reply] == [int, int]:
        seconds, microseconds = reply
        if 0 <= seconds <= MAX_AT_MS // 1_000 and 0 <= microseconds < 1_000_000:  # noqa: PLR2004 - microseconds per second
            return float(seconds * 1_000 + microseconds / 1_000)
    raise ComparisonError("this Redis sends an invalid time in reply to TIME")
