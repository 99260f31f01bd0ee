"""The relay: hears each tick once, for the whole worker, and hands it to every client's connection.

It is the only member of the group in this process, and keeps nothing but the newest tick: a worker that falls behind
drops what came between, and so does a member that cannot take a frame now.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from clock.contract import GROUP, RATES, BrokenContract, Tick
from clock.outage import AWAY, Backoff, describe

logger = logging.getLogger(__name__)

# Seconds without a valid tick after which the relay takes one of any term, step and time.
FORGET_AFTER: Final = 3.0

# Seconds without a tick after which the subscription is made anew: a link that looks open can be dead.
SILENCE: Final = 2.0


class Member(Protocol):
    """One client's connection."""

    def write(self, frame: str) -> bool:
        """Send a text frame now, or say False and let it go. Never raises and never waits."""


class Instant(NamedTuple):
    """What time it is: `at` in milliseconds since the Unix epoch, told by a tick that is `age` milliseconds old."""

    at: float
    age: float


class Cohort:
    """The members that asked for one rate. They get the first tick of each of its periods."""

    def __init__(self, rate: int) -> None:
        self._members: dict[Member, None] = {}  # a set that keeps its order
        self._period_ms = 1000 // rate
        self._period = -1
        self._flat: tuple[Member, ...] = ()  # what is walked 100 times a second, and changes seldom

    def join(self, member: Member) -> None:
        """Take a member in."""
        self._members[member] = None
        self._flat = tuple(self._members)

    def leave(self, member: Member) -> None:
        """Let a member go, if it is one."""
        if member in self._members:
            del self._members[member]
            self._flat = tuple(self._members)

    def write(self, tick: Tick) -> None:
        """Hand the tick to every member, if it is the first that this cohort sees of its period."""
        period = tick.at // self._period_ms
        if period != self._period:
            self._period = period
            frame = tick.frame
            for member in self._flat:
                member.write(frame)


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
        self._cohorts = {rate: Cohort(rate) for rate in RATES}
        self._tick: Tick | None = None
        self._taken_at = 0.0
        self._highest_step = 0
        self._fan_out_due = False
        self._task: asyncio.Task[None] | None = None
        self._state = ""

    # --- The members ---

    def join(self, member: Member, rate: int) -> None:
        """Let a member have `rate` frames a second, one of the contract's `RATES`, from its next period on."""
        self._cohorts[rate].join(member)

    def leave(self, member: Member) -> None:
        """Let a member have no more frames; nothing happens if it had none."""
        for cohort in self._cohorts.values():
            cohort.leave(member)

    # --- The time ---

    def instant(self) -> Instant | None:
        """Return the time as the ticker tells it: the last tick's, and what has passed since. None before the first."""
        if self._tick is None:
            return None
        age = (self._now() - self._taken_at) * 1000
        return Instant(self._tick.at + age, age)

    def take(self, tick: Tick) -> bool:
        """Take a tick as the newest, and have it written to the members; or drop it and return False.

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
        try:
            while True:
                try:
                    async with asyncio.timeout(self._silence) as deadline:
                        channel = await layer.new_channel()
                        await layer.group_add(GROUP, channel)
                        backoff.reset()
                        await self._hear(layer, channel, deadline)
                except TimeoutError:
                    self._enter("silent", logging.WARNING, f"no ticks for {self._silence:g} s: listening anew")
                except AWAY as error:
                    self._enter("away", logging.WARNING, f"Redis is away: {describe(error)}")
                await _let_go(layer)
                await asyncio.sleep(backoff.pause())
        finally:
            await _let_go(layer)

    async def _hear(self, layer: Any, channel: str, deadline: asyncio.Timeout) -> None:
        """Take ticks as they come, and put the deadline off with each."""
        loop = asyncio.get_running_loop()
        while True:
            message = await layer.receive(channel)
            try:
                taken = self.take(Tick.from_message(message))
            except BrokenContract as broken:
                logger.debug("dropped %s", broken)
                continue
            if taken:
                deadline.reschedule(loop.time() + self._silence)
                self._enter("flowing", logging.INFO, "ticks are coming")
                self._schedule_fan_out()

    def _schedule_fan_out(self) -> None:
        # In the next round of the loop: `receive` hands over all that has queued without giving the loop back, so by
        # then the newest tick is known, and what came before it is never sent.
        if not self._fan_out_due:
            self._fan_out_due = True
            asyncio.get_running_loop().call_soon(self._fan_out)

    def _fan_out(self) -> None:
        self._fan_out_due = False
        if self._tick is not None:
            for cohort in self._cohorts.values():
                cohort.write(self._tick)

    def _enter(self, state: str, level: int, message: str) -> None:
        """Log a change of state, once."""
        if state != self._state:
            self._state = state
            logger.log(level, message)


async def _let_go(layer: Any) -> None:
    """Close the layer's connections, so that it is like new."""
    with contextlib.suppress(*AWAY):
        await layer.flush()
