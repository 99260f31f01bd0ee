"""The publisher: sends ticks to the channel-layer group while Redis is available.

There is no queue. A tick that cannot be published at once is lost, because the next one is the whole state.
"""

import asyncio
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from clock.contract import GROUP, Tick, format_frame
from clock.redis.comparison import RedisClock
from clock.redis.outage import UNAVAILABLE, Outage
from ticker.host_clock import HostClock

# The longest wait for Redis per tick. The tick is worthless after 10 ms, but a slow reply is no reason to disconnect.
TIMEOUT_S: Final = 1.0

# Each tick has a warm-up: 2 ms before it is due, a message takes the same path to a group without members. Between two
# ticks the code falls out of the processor's caches, and reloading it costs 0.1 ms at the median and twice that at p99
# (bench/punctuality.py, with the warm-up and without). A warm-up also detects in time that Redis is unavailable.
# The group's name is part of the users' permissions in Redis (deploy/redis-users.conf), so it must not change.
WARM_UP_GROUP: Final = f"{GROUP}.rehearsal"
WARM_UP_MESSAGE: Final = {"type": "clock.rehearsal"}


class GroupSender(Protocol):
    """What the publisher uses of a channel layer."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send a message to a group."""

    async def flush(self) -> None:
        """Close the connections."""


class Publisher:
    """Sends ticks through a channel layer, and records in `outage` whether that succeeded."""

    def __init__(
        self, layer: GroupSender, zone: ZoneInfo, outage: Outage, redis_clock: RedisClock, host_clock: HostClock
    ) -> None:
        self.last: Tick | None = None  # the last tick that Redis took
        self.zone = zone
        self.outage = outage
        self._layer = layer
        self._redis_clock = redis_clock
        self._host_clock = host_clock
        self._must_reconnect = False

    async def warm_up(self) -> None:
        """Prepare for a tick. The first time it also connects, which takes as long as several ticks."""
        self._host_clock.check()
        if self._must_reconnect:
            self._must_reconnect = False
            await self._layer.flush()
        if self.outage.since is None:
            await self._send(WARM_UP_GROUP, WARM_UP_MESSAGE)

    async def publish(self, at: int, term: int, step: int) -> bool:
        """Send a tick, and return whether Redis took it."""
        if self.last is not None and step != self.last.step:
            self._redis_clock.reset()
        comparison = self._redis_clock.read() or ()
        tick = Tick(at, format_frame(at, self.zone), term, step, self._host_clock.synchronised, *comparison)
        if not self.outage.may_try() or not await self._send(GROUP, tick.message()):
            return False
        self.last = tick
        self.outage.record_success()
        return True

    def reconnect_before_next(self) -> None:
        """Reconnect before the next tick: a server that is no longer the master accepts PUBLISH without an error."""
        self._must_reconnect = True

    async def close(self) -> None:
        """Disconnect from Redis."""
        await self._layer.flush()

    async def _send(self, group: str, message: dict[str, Any]) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._layer.group_send(group, message)
        except UNAVAILABLE as error:
            self.outage.record_failure(error)
            return False
        return True
