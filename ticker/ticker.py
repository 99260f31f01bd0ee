"""The ticker: publishes each tick of the metronome to the channel layer's group, while Redis is there."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from clock.contract import GROUP, Tick, format_frame
from clock.outage import AWAY, Backoff, describe
from ticker.metronome import Metronome

logger = logging.getLogger(__name__)

# Seconds between two lines about skipped ticks, so that a busy machine does not fill the log.
SKIP_REPORT_INTERVAL: Final = 60.0

# Seconds that Redis may take for one tick. It is worth nothing after 10 ms, but a slow answer is no reason to hang up.
PATIENCE: Final = 1.0

# A tick is rehearsed: 2 ms before it goes out, a message takes the same way to a group that nobody is in. Between two
# ticks the processor's caches forget the code of that way, and remembering it costs 0.1 ms at the median and twice that
# at p99 (by bench/punctuality.py, with this and without). It also finds out in time that Redis is away.
REHEARSAL_GROUP: Final = f"{GROUP}.rehearsal"
REHEARSAL: Final = {"type": "clock.rehearsal"}


class Ticker:
    """Publishes the time, and keeps time while it cannot.

    There is no queue: a tick that cannot be published at once is lost, for the next one is the whole state.
    """

    def __init__(
        self, metronome: Metronome, layer: Any, zone: ZoneInfo, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.published = 0
        self.unpublished = 0
        self._metronome = metronome
        self._layer = layer
        self._zone = zone
        self._now = now
        self._backoff = Backoff(0.05)
        self._away_since: float | None = None
        self._retry_at = 0.0
        self._skips_reported = (0, now())
        self._stopping = False

    def stop(self) -> None:
        """Have `run` return after the tick it is at."""
        self._stopping = True

    async def run(self) -> None:
        """Tick until stopped; then let go of Redis and say how it went."""
        await self._send(REHEARSAL_GROUP, REHEARSAL)  # the first use connects, which takes the time of several ticks
        self._metronome.start()
        while not self._stopping:
            await self.tick_once()
        await self._layer.flush()
        count = self._metronome.count
        logger.info(
            "stopped after %d ticks: %d published, %d not, for Redis was away or slow; "
            "%d more skipped, for the machine stalled; the latest was %.1f ms late",
            count.ticks, self.published, self.unpublished, count.skipped, count.worst_ns / 1e6,
        )  # fmt: skip

    async def tick_once(self) -> None:
        """Wait for one tick and publish it, or leave it unpublished while Redis is away."""
        if await self._metronome.approach() and self._away_since is None:
            await self._send(REHEARSAL_GROUP, REHEARSAL)
            self.unpublished += self._metronome.excuse()
        at = await self._metronome.tick()
        tick = Tick(at, format_frame(at, self._zone), step=self._metronome.step)
        may_try = self._away_since is None or self._now() >= self._retry_at
        if may_try and await self._send(GROUP, tick.message()):
            self.published += 1
            self._succeeded()
        else:
            self.unpublished += 1
        self.unpublished += self._metronome.excuse()
        self._report_skips()

    async def _send(self, group: str, message: dict[str, Any]) -> bool:
        """Send to a group and return whether Redis took it."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._layer.group_send(group, message)
        except AWAY as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        if self._away_since is None:
            logger.warning("Redis is away, still keeping time: %s", describe(error))
            self._away_since = self._now()
            self._backoff.reset()
        self._retry_at = self._now() + self._backoff.pause()

    def _succeeded(self) -> None:
        if self._away_since is not None:
            logger.info("Redis is back after %.1f s: publishing again", self._now() - self._away_since)
            self._away_since = None
        elif self.published == 1:
            logger.info("publishing the time, in %s", self._zone.key)

    def _report_skips(self) -> None:
        (reported, since), skipped = self._skips_reported, self._metronome.count.skipped
        if skipped > reported and self._now() - since >= SKIP_REPORT_INTERVAL:
            logger.warning("skipped %d ticks since the last such line, for the machine stalled", skipped - reported)
            self._skips_reported = (skipped, self._now())
