"""The relay: hears each tick once, for the whole worker, and keeps the newest.

It is the only member of the group in this process. Clients join it, and it hands what it takes to the fan-out.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from clock.contract import GROUP, BrokenContract, Tick
from clock.fanout import FanOut
from clock.layer import hear
from clock.outage import AWAY, Backoff, describe

logger = logging.getLogger(__name__)

# Seconds without a valid tick after which the relay takes one of any term, step and time.
FORGET_AFTER: Final = 3.0

# Seconds without a tick after which the subscription is made anew: a link that looks open can be dead.
SILENCE: Final = 2.0

# The state in which ticks come.
FLOWING: Final = "flowing"


class Instant(NamedTuple):
    """What time it is: `at` in milliseconds since the Unix epoch, told by a tick that is `age` milliseconds old."""

    at: float
    age: float


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
        self._tick: Tick | None = None
        self._taken_at = 0.0
        self._highest_step = 0
        self._task: asyncio.Task[None] | None = None
        self._state = ""

    # --- The time ---

    def instant(self) -> Instant | None:
        """Return the time as the ticker tells it: the last tick's, and what has passed since. None before the first."""
        if self._tick is None:
            return None
        age = (self._now() - self._taken_at) * 1000
        return Instant(self._tick.at + age, age)

    def take(self, tick: Tick) -> bool:
        """Take a tick as the newest; or drop it and return False.

        A tick of a lower term is dropped, and so is one that is not above the last, unless the clock was set. But a
        worker that has had no valid tick for `FORGET_AFTER` takes any: then the old order has ended.
        """
        now, last = self._now(), self._tick
        if last is None or now - self._taken_at >= FORGET_AFTER or self._is_newer(tick, last):
            # Each term counts the steps of its own clock.
            goes_on = last is not None and tick.term == last.term
            self._highest_step = max(tick.step, self._highest_step) if goes_on else tick.step
            self._tick, self._taken_at = tick, now
            return True
        return False

    def _is_newer(self, tick: Tick, last: Tick) -> bool:
        return tick.term >= last.term and (tick.at > last.at or tick.step > self._highest_step)

    # --- The work ---

    def start(self) -> None:
        """Start listening on the running event loop, if it is not listening already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="relay")

    async def stop(self) -> None:
        """Stop listening and let go of Redis."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _listen(self) -> None:
        """Hear ticks for ever: join the group, and join it anew whenever the ticks stop or Redis goes."""
        layer = self._layer()
        backoff = Backoff(0.1)
        self._enter("waiting", logging.INFO, "waiting for the first tick")
        while True:
            heard = self._tick
            try:
                await self._hear(layer)
            except TimeoutError:
                self._enter("silent", logging.WARNING, f"no ticks for {self._silence:g} s: listening anew")
            except AWAY as error:
                self._enter("away", logging.WARNING, f"Redis is away: {describe(error)}")
            if self._tick is not heard:
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
                silent = self._now() - max(began, self._taken_at)
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
                logger.debug("dropped %s", broken)
            else:
                if self.take(tick):
                    taken = tick
        if taken is not None:
            self.fan_out.send(taken)
            if self._state != FLOWING:
                self._enter(FLOWING, logging.INFO, "ticks are coming")

    def _enter(self, state: str, level: int, message: str) -> None:
        """Log a change of state, once."""
        if state != self._state:
            self._state = state
            logger.log(level, message)
