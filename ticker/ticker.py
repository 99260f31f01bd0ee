"""The ticker: publishes each tick of the metronome while it holds the lease, and stands by while another one does."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from clock.redis.outage import UNAVAILABLE
from ticker.candidate import Candidate
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby

logger = logging.getLogger(__name__)

# Seconds between two looks whether it is the standby's turn.
LOOK: Final = 0.02

# Seconds between two lines about skipped ticks, so that a busy machine does not fill the log.
SKIP_REPORT_INTERVAL: Final = 60.0

# Seconds that each part of the end may take: the tick it is at, the lease's release, and to let go of Redis. Each is a
# matter of milliseconds, unless Redis hangs or the wall clock stands still.
END_PATIENCE: Final = 0.5

# A step that was only heard, in a tick that anyone with access to Redis can have sent, counts up to here. Each time
# that a ticker's clock is set is one, so no true step is so high; and there is room left to rise.
MAX_HEARD_STEP: Final = 1_000_000


class Ticker:
    """One of any number of tickers, of which one leads.

    The standby's supervisor runs the renewal of the lease too, and all of its tasks end with the ticker. `stopping` is
    set to stop it.
    """

    def __init__(
        self,
        metronome: Metronome,
        publisher: Publisher,
        lease: Lease,
        standby: Standby,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self.published = 0
        self.unpublished = 0
        self._metronome = metronome
        self._publisher = publisher
        self._lease = lease
        self._standby = standby
        self._supervisor = standby.supervisor
        self._outage = publisher.outage
        self._candidate = Candidate(lease, standby, self._outage)
        self._skips_reported = (0, self._outage.now())
        self._stopping = stopping or asyncio.Event()

    def stop(self) -> None:
        """Have `run` return after the tick it is at."""
        self._stopping.set()

    async def run(self) -> None:
        """Stand by and lead in turn until stopped; then let go of Redis and say how it went.

        When it is stopped it returns within seconds, whatever Redis and the wall clock do.

        Raises:
            ImpossibleTime: the wall clock shows a time that cannot be told.
        """
        work = asyncio.create_task(self._stand_by_and_lead(), name="ticker")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=END_PATIENCE)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work}, timeout=END_PATIENCE)
            await self._let_go()
        if work.done() and not work.cancelled():
            work.result()

    async def _stand_by_and_lead(self) -> None:
        while not self._stopping.is_set():
            if await self._stand_by():
                await self._lead()

    async def _let_go(self) -> None:
        await _end(self._supervisor.stop())
        await _end(self._lease.release())  # so that another can lead at once
        await _end(self._publisher.close())
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
        while not self._stopping.is_set() and not taken:
            self._metronome.check()
            if self._standby.hears and not told:
                logger.info("standing by: another ticker publishes the time")
                told = True
            taken = await self._candidate.try_to_lead()
            if not taken:
                await asyncio.sleep(LOOK)
        await self._standby.stop()
        return taken

    # --- Leading ---

    async def _lead(self) -> None:
        """Publish the time for as long as the lease is valid."""
        self._publisher.reconnect_before_next()
        await self._publisher.warm_up()
        self._begin()
        logger.info("publishing the time, in %s (term %d)", self._publisher.zone.key, self._lease.term)
        while not self._stopping.is_set() and self._lease.is_valid():
            await self.tick_once()
        await self._supervisor.stop("renewal")
        if not self._stopping.is_set() and self._outage.since is None:
            logger.warning(
                "no longer publishing: the lease ran out, for this machine or Redis stood still, or another leads"
            )

    def _begin(self) -> None:
        """Begin above the last tick that anybody published, as far as is known.

        If this clock is behind that, its ticks wait. If it is far behind, one of the two clocks is wrong, or the tick
        was forged: that is no other than a clock that was set, and `step` says so. Nothing that was heard can make them
        wait for long, or leave no room for `step` to rise.
        """
        known = [tick for tick in (self._publisher.last, self._standby.last) if tick]
        last = max(known, key=lambda tick: (tick.term, tick.step, tick.at), default=None)
        if last is None:
            self._metronome.start()
        elif last.step > MAX_HEARD_STEP:
            logger.warning("the last tick that was heard cannot be true (step %d): not going on from there", last.step)
            self._metronome.start()
        elif self._standby.is_far_behind(last.at):
            logger.warning("the last tick that was heard is far ahead of this clock (at %d): a step back", last.at)
            self._metronome.start(step=last.step + 1)
        else:
            self._metronome.start(after=last.at, step=last.step)

    async def tick_once(self) -> None:
        """Wait for one tick and publish it; or leave it, while Redis is away or if the lease has run out meanwhile."""
        if await self._metronome.approach():
            await self._publisher.warm_up()
            self.unpublished += self._metronome.discount()
        at = await self._metronome.tick()
        if not self._lease.is_valid():
            return
        if await self._publisher.publish(at, self._lease.term, self._metronome.step):
            self.published += 1
        else:
            self.unpublished += 1
        self.unpublished += self._metronome.discount()
        # Now, for there is time until the next tick.
        if self._lease.is_due():
            self._supervisor.start("renewal", self._renew)
        if self._standby.is_listening and self._standby.hears_above(self._lease.term):
            self._lease.give_up()
        self._report_skips()

    async def _renew(self) -> None:
        """Extend the lease. Where Redis does not keep it, listen whether another ticker leads with a higher term."""
        try:
            await self._lease.extend()
        except OutOfMemoryError as error:  # that is said by the lease; ticks need no memory
            logger.debug("the lease is not extended: %r", error)
        except UNAVAILABLE as error:
            self._publisher.reconnect_before_next()
            self._outage.record_failure(error)
        else:
            if self._lease.is_kept:
                await self._standby.stop()
            else:
                self._standby.listen()

    def _report_skips(self) -> None:
        (reported, since), skipped = self._skips_reported, self._metronome.count.skipped
        if skipped > reported and self._outage.now() - since >= SKIP_REPORT_INTERVAL:
            logger.warning("skipped %d ticks since the last such line, for the machine stalled", skipped - reported)
            self._skips_reported = (skipped, self._outage.now())


async def _end(ending: Coroutine[Any, Any, None]) -> None:
    """Wait for one part of the end, but not for long."""
    try:
        async with asyncio.timeout(END_PATIENCE):
            await ending
    except UNAVAILABLE as error:
        logger.debug("not let go of in good order: %r", error)
