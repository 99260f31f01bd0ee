"""The ticker: publishes the ticks of the metronome while it is the leader, and waits as a standby otherwise."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from clock.process.histogram import Histogram
from clock.redis.outage import UNAVAILABLE
from ticker.candidate import Candidate
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby

logger = logging.getLogger(__name__)

# The interval between two checks whether a standby should become the leader.
CHECK_INTERVAL_S: Final = 0.02

# Skipped ticks are logged at most once a minute, so that a busy machine does not fill the log.
SKIP_LOG_INTERVAL_S: Final = 60.0

# The longest duration of each part of the shutdown: the present tick, the release of the lease, and disconnecting. Each
# takes milliseconds, unless Redis hangs or the wall clock does not advance.
SHUTDOWN_TIMEOUT_S: Final = 0.5

# The highest credible step in a received tick, which every client of Redis can have sent. A step rises by one each time
# a ticker's clock is set, so no true step is so high. It leaves room to rise.
MAX_RECEIVED_STEP: Final = 1_000_000

# The name of the task that renews the lease.
RENEWAL: Final = "renewal"

# Why a tick was not published: Redis was unavailable; it took so long for another tick that this one was over; or the
# lease had expired.
REDIS_UNAVAILABLE, REDIS_SLOW, LEASE_EXPIRED = UNPUBLISHED_REASONS = ("unavailable", "slow", "lease")


class Ticker:
    """One of any number of tickers, of which one is the leader.

    Its tasks run under the standby's supervisor and end with the ticker. Set `stopping` to stop it.
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
        self.unpublished = dict.fromkeys(UNPUBLISHED_REASONS, 0)
        self.lateness = Histogram()  # of published ticks, from when they were due to when Redis had taken them
        self.takeovers = 0  # how often it became the leader
        self.is_leading = False  # it published, or tried to, as long as its lease was valid
        self._metronome = metronome
        self._publisher = publisher
        self._lease = lease
        self._standby = standby
        self._supervisor = standby.supervisor
        self._outage = publisher.outage
        self._candidate = Candidate(lease, standby, self._outage)
        self._logged_skips, self._skips_logged_at = 0, self._outage.now()
        self._alive_at = self._outage.now()
        self._stopping = stopping or asyncio.Event()

    def stop(self) -> None:
        """Make `run` return after the present tick."""
        self._stopping.set()

    def stalled_s(self) -> float:
        """Return for how many seconds a leader has published nothing, or a standby has not looked after the leader."""
        return self._outage.now() - self._alive_at

    async def run(self) -> None:
        """Alternate between standby and leader until stopped. Then release the lease, disconnect, and log the totals.

        When stopped it returns within seconds, whatever Redis and the wall clock do.

        Raises:
            TimeOutOfRange: the wall clock is before 1970 or after 9999.
        """
        work = asyncio.create_task(self._work(), name="ticker")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=SHUTDOWN_TIMEOUT_S)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work}, timeout=SHUTDOWN_TIMEOUT_S)
            await self._shut_down()
        if work.done() and not work.cancelled():
            work.result()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            if await self._stand_by():
                await self._lead()

    async def _shut_down(self) -> None:
        await _finish(self._supervisor.stop())
        await _finish(self._lease.release())  # so that a standby can take over at once
        await _finish(self._publisher.close())
        counts, lost = self._metronome.counts, self.unpublished[REDIS_UNAVAILABLE] + self.unpublished[REDIS_SLOW]
        logger.info(
            "stopped after %d ticks: %d published, %d lost because Redis was unavailable or slow; %d more skipped "
            "because this machine stalled; highest lateness %.1f ms",
            self.published + lost, self.published, lost, counts.skipped, counts.max_lateness_ns / 1e6,
        )  # fmt: skip

    # --- As a standby ---

    async def _stand_by(self) -> bool:
        """Wait as a standby. Return True once the lease is acquired, or False when stopped before that."""
        self._standby.start()
        is_logged = is_leader = False
        while not self._stopping.is_set() and not is_leader:
            self._metronome.check()
            self._alive_at = self._outage.now()
            if self._standby.is_receiving and not is_logged:
                logger.info("standing by: another ticker is the leader")
                is_logged = True
            is_leader = await self._candidate.try_to_lead()
            if not is_leader:
                await asyncio.sleep(CHECK_INTERVAL_S)
        await self._standby.stop()
        return is_leader

    # --- As the leader ---

    async def _lead(self) -> None:
        """Publish the time for as long as the lease is valid."""
        self.is_leading, self._alive_at = True, self._outage.now()
        self.takeovers += 1
        try:
            await self._publish_ticks()
        finally:
            self.is_leading = False

    async def _publish_ticks(self) -> None:
        self._publisher.reconnect_before_next()
        await self._publisher.warm_up()
        self._start_metronome()
        logger.info("publishing the time in %s (term %d)", self._publisher.zone.key, self._lease.term)
        while not self._stopping.is_set() and self._lease.is_valid():
            await self.tick_once()
        await self._supervisor.stop(RENEWAL)
        if not self._stopping.is_set() and self._outage.since is None:
            logger.warning(
                "stopped publishing: the lease expired because this machine or Redis stalled, or another ticker is the "
                "leader"
            )

    def _start_metronome(self) -> None:
        """Start after the last tick that anybody published, as far as is known.

        If this clock is behind it, the ticks wait for this clock. If it is far behind, one of the two clocks is wrong
        or the tick was forged. That is treated as a clock that was set, and `step` rises. No received tick can delay
        the ticks for long, or leave no room for `step` to rise.
        """
        known = [tick for tick in (self._publisher.last, self._standby.last) if tick]
        last = max(known, key=lambda tick: (tick.term, tick.step, tick.at), default=None)
        if last is None:
            self._metronome.start()
        elif last.step > MAX_RECEIVED_STEP:
            logger.warning("ignoring the last tick received: it cannot be genuine (step %d)", last.step)
            self._metronome.start()
        elif self._standby.is_far_behind(last.at):
            logger.warning("stepping back: the last tick received is far ahead of this clock (at %d)", last.at)
            self._metronome.start(step=last.step + 1)
        else:
            self._metronome.start(after=last.at, step=last.step)

    async def tick_once(self) -> None:
        """Wait for one tick and publish it. It is dropped while Redis is unavailable, or if the lease has expired."""
        if await self._metronome.approach():
            await self._publisher.warm_up()
            self.unpublished[REDIS_SLOW] += self._metronome.discount()
        at = await self._metronome.tick()
        if not self._lease.is_valid():
            self.unpublished[LEASE_EXPIRED] += 1
            return
        step = self._metronome.step
        is_published = await self._publisher.publish(at, self._lease.term, step)
        self.unpublished[REDIS_SLOW] += self._metronome.discount()
        self.count(at, step, is_published=is_published)
        # Other work is done now, because there is time until the next tick.
        if self._lease.is_renewal_due():
            self._supervisor.start(RENEWAL, self._renew)
        if self._standby.is_running and self._standby.has_higher_leader(self._lease.term):
            self._lease.invalidate()
        self._log_skips()

    def count(self, at: int, step: int, *, is_published: bool) -> None:
        """Count a tick that was due: the one of `at` (milliseconds), with this step of the metronome."""
        if not is_published:
            self.unpublished[REDIS_UNAVAILABLE] += 1
            return
        self.published += 1
        self._alive_at = self._outage.now()
        if step == self._metronome.step:  # otherwise the clock was set meanwhile, and proves nothing
            self.lateness.record(self._metronome.lateness_s(at))

    async def _renew(self) -> None:
        """Renew the lease. If Redis does not retain it, receive ticks to detect another leader with a higher term."""
        try:
            await self._lease.renew()
        except OutOfMemoryError as error:  # the lease logs that; ticks need no memory
            logger.debug("the lease is not renewed: %r", error)
        except UNAVAILABLE as error:
            self._publisher.reconnect_before_next()
            self._outage.record_failure(error)
        else:
            if self._lease.is_retained:
                await self._standby.stop()
            else:
                self._standby.start()

    def _log_skips(self) -> None:
        now, skipped = self._outage.now(), self._metronome.counts.skipped
        if skipped > self._logged_skips and now - self._skips_logged_at >= SKIP_LOG_INTERVAL_S:
            logger.warning("skipped %d ticks because this machine stalled", skipped - self._logged_skips)
            self._logged_skips, self._skips_logged_at = skipped, now


async def _finish(part: Coroutine[Any, Any, None]) -> None:
    """Wait for one part of the shutdown, within the timeout."""
    try:
        async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
            await part
    except UNAVAILABLE as error:
        logger.debug("a part of the shutdown failed: %r", error)
