"""The relay: hears each tick once, for the whole worker, and keeps the newest.

It is the only member of the group in this process. Clients join it, and it hands what it takes to the fan-out.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from clock.comparison import Comparison, RedisClock, bound
from clock.contract import GROUP, BrokenContract, Tick
from clock.fanout import FanOut
from clock.layer import TickLayer, hear
from clock.outage import AWAY, Backoff, describe
from clock.succession import Succession

logger = logging.getLogger(__name__)

# Seconds without a tick after which the subscription is made anew: a link that looks open can be dead.
SILENCE: Final = 2.0

# What the relay does: it waits for its first tick, ticks come, none come, or Redis is away.
WAITING, FLOWING, SILENT, AWAY_FROM_REDIS = STATES = ("waiting", "flowing", "silent", "away")


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
    """Hears the ticks of the group and writes each to the members."""

    def __init__(
        self,
        layer: Callable[[], Any],
        *,
        now: Callable[[], float] = time.monotonic,
        silence: float = SILENCE,
    ) -> None:
        self._layer = layer
        self._now = now
        self._silence = silence
        self.fan_out = FanOut()
        self.succession = Succession(now)
        self.not_ticks = 0  # messages to the group that were none
        self._task: asyncio.Task[None] | None = None
        self._redis_clock: RedisClock | None = None
        self._comparing: asyncio.Task[None] | None = None
        self.state = ""  # one of `STATES`, once it is started

    def instant(self) -> Instant | None:
        """Return the time as the ticker tells it, and what is known of it; None before the first tick."""
        tick = self.succession.last
        if tick is None:
            return None
        now = self._now()
        age = (now - self.succession.taken_at) * 1_000
        there = Comparison(tick.server, tick.ahead, tick.margin) if tick.server else None
        here = self._redis_clock.read() if self._redis_clock else None
        found = bound(tick.at + age, now * 1_000, age, here, there)
        return Instant(tick.at + age, age, found, tick.synchronised)

    def start(self) -> None:
        """Start listening on the running event loop, if it is not listening already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="relay")

    def down_for(self) -> float:
        """Return for how many seconds the relay has not been running although it was started; 0 if it is well."""
        return 0.0

    async def stop(self) -> None:
        """Stop listening and let go of Redis."""
        tasks = {task for task in (self._task, self._comparing) if task}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = self._comparing = None

    async def _listen(self) -> None:
        """Hear ticks for ever: join the group, and join it anew whenever the ticks stop or Redis goes."""
        layer = self._layer()
        if isinstance(layer, TickLayer):
            self._redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: self._now() * 1_000)
            self._comparing = asyncio.create_task(self._redis_clock.run(), name="comparison")
        backoff = Backoff(0.1)
        self._enter(WAITING, logging.INFO, "waiting for the first tick")
        while True:
            heard = self.succession.last
            try:
                await self._hear(layer)
            except TimeoutError:
                self._enter(SILENT, logging.WARNING, f"no ticks for {self._silence:g} s: listening anew")
            except AWAY as error:
                self._enter(AWAY_FROM_REDIS, logging.WARNING, f"Redis is away: {describe(error)}")
            if self.succession.last is not heard:
                backoff.reset()
            await asyncio.sleep(backoff.pause())

    async def _hear(self, layer: Any) -> None:
        """Hear ticks until none has come for `silence` seconds.

        Raises:
            TimeoutError: none has.
            RedisError, OSError: Redis is away.
        """
        began = self._now()
        hearing = asyncio.create_task(hear(layer, GROUP, self._take_messages))
        try:
            while not hearing.done():
                # Looked at now and then: a timer that each tick puts off would cost more than the rest of its way.
                silent = self._now() - max(began, self.succession.taken_at)
                if silent >= self._silence:
                    raise TimeoutError
                await asyncio.wait({hearing}, timeout=self._silence - silent)
            await hearing
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})

    def _take_messages(self, messages: list[Any]) -> None:
        """Take what has come at the same time, and have the newest tick written to the members."""
        taken = None
        for message in messages:
            try:
                tick = Tick.from_message(message)
            except BrokenContract as broken:
                self.not_ticks += 1
                logger.debug("dropped %s", broken)
            else:
                if self.succession.take(tick):
                    taken = tick
        if taken is not None:
            self.fan_out.send(taken)
            if self.state != FLOWING:
                self._enter(FLOWING, logging.INFO, "ticks are coming")

    def _enter(self, state: str, level: int, message: str) -> None:
        """Log a change of state, once."""
        if state != self.state:
            self.state = state
            logger.log(level, message)
