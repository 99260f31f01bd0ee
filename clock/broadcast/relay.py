"""The relay: hears each tick once, for the whole worker, and keeps the newest.

It is the only viewer of the group in this process. Clients join it, and it hands what it takes to the fan-out.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from clock.broadcast.fan_out import FanOut
from clock.broadcast.tick_filter import TickFilter
from clock.contract import GROUP, MAX_AT, VERSION, BrokenContract, IncompatibleVersion, Tick
from clock.process.backoff import Backoff
from clock.process.state_log import StateLog
from clock.process.supervisor import Supervisor
from clock.redis.comparison import Comparison, RedisClock, bound
from clock.redis.layer import TickLayer, subscribe
from clock.redis.outage import UNAVAILABLE, describe

logger = logging.getLogger(__name__)

# Seconds without a tick after which the subscription is made anew: a link that looks open can be dead.
SILENCE: Final = 2.0

# Seconds: a subscription that has lasted so long, and brought ticks, is made anew without a pause.
LASTING: Final = 1.0

# Seconds without a tick of an incompatible version after which the next one is logged again.
COMPATIBLE_AFTER: Final = 60.0

# The names of its tasks.
RELAY, COMPARISON = "relay", "comparison"

# What the relay does: it waits for its first tick, ticks come, none come, or Redis is away.
WAITING, FLOWING, SILENT, UNAVAILABLE_STATE = STATES = ("waiting", "flowing", "silent", "away")


class SilenceError(Exception):
    """No tick has come for too long."""


class Instant(NamedTuple):
    """What time it is, in milliseconds.

    `at` is since the Unix epoch, told by a tick that is `age` old. It is `bound` off what the ticker's clock shows, at
    most, and that is `synchronised` or not; each is None where it is not known.
    """

    at: float
    age: float
    bound: float | None
    synchronised: bool | None


class Relay:
    """Hears the ticks of the group and writes each to the viewers.

    Its tasks, and the comparison of clocks, run under the `supervisor`: without the relay's a worker is useless.
    """

    def __init__(
        self,
        layer: Callable[[], Any],
        *,
        now: Callable[[], float] = time.monotonic,
        silence: float = SILENCE,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._layer = layer
        self._now = now
        self._silence = silence
        self.supervisor = supervisor or Supervisor(now=now)
        self.fan_out = FanOut()
        self.tick_filter = TickFilter(now)
        self.not_ticks = 0  # messages to the group that were none
        self._redis_clock: RedisClock | None = None
        self.state = ""  # one of `STATES`, once it is started
        self._log = StateLog(logger, now)
        self._incompatible_at = float("-inf")  # when a tick came that is of another version

    def instant(self) -> Instant | None:
        """Return the time as the ticker tells it, and what is known of it; None before the first tick."""
        tick = self.tick_filter.last
        if tick is None:
            return None
        now = self._now()
        age = (now - self.tick_filter.taken_at) * 1_000
        at = min(tick.at + age, MAX_AT)
        there = Comparison(tick.server, tick.ahead, tick.margin) if tick.server else None
        here = self._redis_clock.read() if self._redis_clock else None
        return Instant(at, age, bound(at, now * 1_000, age, here, there), tick.synchronised)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped: it listens, or is about to be restarted."""
        return self.supervisor.is_supervised(RELAY)

    def down_for(self) -> float:
        """Return for how many seconds it has failed to listen; 0 while it does, and before it is started.

        A Redis that is away is no failure.
        """
        return self.supervisor.down_for(RELAY)

    def start(self) -> None:
        """Start listening on the running event loop, if it was not started already."""
        if not self.is_running:
            self.supervisor.start(RELAY, self._listen, vital=True)
            self.supervisor.start(COMPARISON, self._compare)

    async def stop(self) -> None:
        """Stop listening and let go of Redis."""
        await self.supervisor.stop(RELAY, COMPARISON)

    async def _compare(self) -> None:
        """Compare clocks for ever, if the layer is one that can say which Redis it is on."""
        layer = self._layer()
        if isinstance(layer, TickLayer):
            self._redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: self._now() * 1_000)
            await self._redis_clock.run()

    async def _listen(self) -> None:
        """Hear ticks for ever: join the group, and join it anew whenever the ticks stop or Redis goes."""
        layer = self._layer()
        backoff = Backoff(0.1)
        self._enter(WAITING, logging.INFO, "waiting for the first tick")
        while True:
            heard, began = self.tick_filter.last, self._now()
            try:
                await self._hear(layer)
            except SilenceError:
                if self._incompatible_at >= began:  # there are ticks, and why they are not taken was logged already
                    self.state = self._log.logged = SILENT
                else:
                    self._enter(SILENT, logging.WARNING, f"no ticks for {self._silence:g} s: listening anew")
            except UNAVAILABLE as error:
                self._enter(UNAVAILABLE_STATE, logging.WARNING, f"Redis is away: {describe(error)}")
            if self.tick_filter.last is not heard:
                backoff.reset()
                if self._now() - began >= LASTING:
                    continue
            await asyncio.sleep(backoff.pause())

    async def _hear(self, layer: Any) -> None:
        """Hear ticks until none has come for `silence` seconds.

        Raises:
            SilenceError: none has.
            RedisError, OSError: Redis is away.
        """
        began = self._now()
        hearing = asyncio.create_task(subscribe(layer, GROUP, self._take_messages, self._drop_message))
        try:
            while not hearing.done():
                # Looked at now and then: a timer that each tick puts off would cost more than the rest of its way.
                silent = self._now() - max(began, self.tick_filter.taken_at)
                if silent >= self._silence:
                    raise SilenceError
                await asyncio.wait({hearing}, timeout=self._silence - silent)
            await hearing
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    def _take_messages(self, messages: list[Any]) -> None:
        """Take what has come at the same time, and have the newest tick written to the viewers."""
        taken = None
        for message in messages:
            try:
                tick = Tick.from_message(message)
            except BrokenContract as broken:
                self._drop_message()
                if isinstance(broken, IncompatibleVersion):
                    self._meet_another_version(broken.version)
                else:
                    logger.debug("dropped %s", broken)
            else:
                if self.tick_filter.take(tick):
                    taken = tick
        if taken is not None:
            self.fan_out.send(taken)
            if not self.state == self._log.logged == FLOWING:
                self._enter(FLOWING, logging.INFO, "ticks are coming")

    def _drop_message(self) -> None:
        self.not_ticks += 1

    def _meet_another_version(self, version: int) -> None:
        """Log the first of a series of ticks that this worker cannot read."""
        now = self._now()
        if now - self._incompatible_at >= COMPATIBLE_AFTER:
            logger.warning("incompatible tick version %d, this worker reads %d", version, VERSION)
        self._incompatible_at = now

    def _enter(self, state: str, level: int, message: str) -> None:
        """Log a change of state, once."""
        self.state = state
        self._log.enter(state, level, message)
