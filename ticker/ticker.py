"""The ticker: publishes each tick of the metronome while it holds the lease, and stands by while another one does."""

import asyncio
import logging
from typing import Final

from clock.outage import AWAY
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby

logger = logging.getLogger(__name__)

# Seconds between two looks whether it is the standby's turn.
LOOK: Final = 0.02

# Seconds between two lines about skipped ticks, so that a busy machine does not fill the log.
SKIP_REPORT_INTERVAL: Final = 60.0


class Ticker:
    """One of any number of tickers, of which one leads."""

    def __init__(self, metronome: Metronome, publisher: Publisher, lease: Lease, standby: Standby) -> None:
        self.published = 0
        self.unpublished = 0
        self._metronome = metronome
        self._publisher = publisher
        self._lease = lease
        self._standby = standby
        self._outage = publisher.outage
        self._renewal: asyncio.Task[None] | None = None
        self._skips_reported = (0, self._outage.now())
        self._stopping = False

    def stop(self) -> None:
        """Have `run` return after the tick it is at."""
        self._stopping = True

    async def run(self) -> None:
        """Stand by and lead in turn until stopped; then let go of Redis and say how it went."""
        while not self._stopping:
            if await self._stand_by():
                await self._lead()
        try:
            await self._lease.release()  # so that another can lead at once
        except AWAY as error:
            logger.debug("the lease could not be released: %r", error)
        await self._publisher.close()
        count = self._metronome.count
        logger.info(
            "stopped after %d ticks: %d published, %d not, for Redis was away or slow; "
            "%d more skipped, for the machine stalled; the latest was %.1f ms late",
            count.ticks, self.published, self.unpublished, count.skipped, count.worst_ns / 1e6,
        )  # fmt: skip

    # --- Standing by ---

    async def _stand_by(self) -> bool:
        """Listen to whoever leads; return True when the lease is taken, or False when stopped before."""
        self._standby.listen()
        told = taken = False
        while not self._stopping and not taken:
            if self._standby.is_its_turn() and self._outage.may_try():
                taken = await self._take_lease()
            elif self._standby.hears and not told:
                logger.info("standing by: another ticker publishes the time")
                told = True
            if not taken:
                await asyncio.sleep(LOOK)
        await self._standby.stop()
        return taken

    async def _take_lease(self) -> bool:
        heard = self._standby.last
        try:
            taken = await self._lease.take(heard.term if heard else 0)
        except AWAY as error:
            self._outage.meet(error)
            return False
        self._outage.end()
        return taken

    # --- Leading ---

    async def _lead(self) -> None:
        """Publish the time for as long as the lease is valid."""
        self._publisher.doubt()
        await self._publisher.rehearse()
        self._begin()
        logger.info("publishing the time, in %s (term %d)", self._publisher.zone.key, self._lease.term)
        while not self._stopping and self._lease.is_valid():
            await self.tick_once()
        if self._renewal is not None:
            await asyncio.wait({self._renewal})
        if not self._stopping and self._outage.since is None:
            logger.warning("no longer publishing: the lease ran out, for this machine or Redis stood still")

    def _begin(self) -> None:
        """Begin above the last tick that anybody published, as far as is known.

        If this clock is behind that, its ticks wait. If it is far behind, one of the two clocks is wrong: that is no
        other than a clock that was set, and `step` says so.
        """
        known = [tick for tick in (self._publisher.last, self._standby.last) if tick]
        last = max(known, key=lambda tick: (tick.term, tick.step, tick.at), default=None)
        if last is None:
            self._metronome.start()
        elif self._standby.is_far_behind(last.at):
            self._metronome.start(step=last.step + 1)
        else:
            self._metronome.start(after=last.at, step=last.step)

    async def tick_once(self) -> None:
        """Wait for one tick and publish it; or leave it, while Redis is away or if the lease has run out meanwhile."""
        if await self._metronome.approach():
            await self._publisher.rehearse()
            self.unpublished += self._metronome.excuse()
        at = await self._metronome.tick()
        if not self._lease.is_valid():
            return
        if await self._publisher.publish(at, self._lease.term, self._metronome.step):
            self.published += 1
        else:
            self.unpublished += 1
        self.unpublished += self._metronome.excuse()
        # Now, for there is time until the next tick.
        if self._lease.is_due() and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew(), name="renewal")
        self._report_skips()

    async def _renew(self) -> None:
        try:
            await self._lease.extend()
        except AWAY as error:
            self._publisher.doubt()
            self._outage.meet(error)

    def _report_skips(self) -> None:
        (reported, since), skipped = self._skips_reported, self._metronome.count.skipped
        if skipped > reported and self._outage.now() - since >= SKIP_REPORT_INTERVAL:
            logger.warning("skipped %d ticks since the last such line, for the machine stalled", skipped - reported)
            self._skips_reported = (skipped, self._outage.now())
