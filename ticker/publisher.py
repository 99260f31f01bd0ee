"""The publisher: sends ticks to the channel layer's group, while Redis is there.

There is no queue: a tick that cannot be published at once is lost, for the next one is the whole state.
"""

import asyncio
from typing import Any, Final
from zoneinfo import ZoneInfo

from clock.contract import GROUP, Tick, format_frame
from clock.redis.comparison import RedisClock
from clock.redis.outage import UNAVAILABLE, Outage
from ticker.host_clock import HostClock

# Seconds that Redis may take for one tick. It is worth nothing after 10 ms, but a slow answer is no reason to hang up.
PATIENCE: Final = 1.0

# A tick is rehearsed: 2 ms before it goes out, a message takes the same way to a group that nobody is in. Between two
# ticks the processor's caches forget the code of that way, and remembering it costs 0.1 ms at the median and twice that
# at p99 (by bench/punctuality.py, with this and without). It also finds out in time that Redis is away.
REHEARSAL_GROUP: Final = f"{GROUP}.rehearsal"
REHEARSAL: Final = {"type": "clock.rehearsal"}


class Publisher:
    """Sends ticks through a channel layer, and tells the outage how that went."""

    def __init__(
        self, layer: Any, zone: ZoneInfo, outage: Outage, redis_clock: RedisClock, host_clock: HostClock
    ) -> None:
        self.last: Tick | None = None  # the last that Redis took
        self.zone = zone
        self.outage = outage
        self._layer = layer
        self._redis_clock = redis_clock
        self._host_clock = host_clock
        self._doubtful = False

    async def warm_up(self) -> None:
        """Go through the motions. The first time that connects, which takes as long as several ticks."""
        self._host_clock.look()
        if self._doubtful:
            self._doubtful = False
            await self._layer.flush()
        if self.outage.since is None:
            await self._send(REHEARSAL_GROUP, REHEARSAL)

    async def publish(self, at: int, term: int, step: int) -> bool:
        """Send a tick, and return whether Redis took it."""
        if self.last is not None and step != self.last.step:
            self._redis_clock.forget()
        comparison = self._redis_clock.read() or ()
        tick = Tick(at, format_frame(at, self.zone), term, step, self._host_clock.synchronised, *comparison)
        if not self.outage.may_try() or not await self._send(GROUP, tick.message()):
            return False
        self.last = tick
        self.outage.record_success()
        return True

    def reconnect_before_next(self) -> None:
        """Connect anew before the next tick: a server that is the master no longer takes PUBLISH without a word."""
        self._doubtful = True

    async def close(self) -> None:
        """Let go of Redis."""
        await self._layer.flush()

    async def _send(self, group: str, message: dict[str, Any]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._layer.group_send(group, message)
        except UNAVAILABLE as error:
            self.outage.record_failure(error)
            return False
        return True
