"""The candidate: a standby that tries to become the leader, and how often it asks Redis for the lease."""

import logging
from typing import Final

from clock.process.backoff import Backoff
from clock.redis.outage import UNAVAILABLE, Outage
from ticker.lease import Lease
from ticker.lease_scripts import LEASE_MS
from ticker.standby import Standby

logger = logging.getLogger(__name__)

# The shortest and the longest pause between two attempts to acquire a lease that another ticker holds while no ticks
# arrive. A ticker that stops releases its lease at once; that of one that crashed expires.
FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.25

# The interval between two checks whether anybody holds the lease while ticks arrive.
CHECK_INTERVAL_S: Final = 0.3

# If Redis does not retain the lease between requests, it is always free, which proves nothing. Then a standby becomes
# the leader after this time without a tick: a silent leader stops when its lease expires, there as well.
UNRETAINED_SILENCE_S: Final = LEASE_MS / 1_000


class Candidate:
    """Acquires the lease when the standby finds that the leader is gone."""

    def __init__(self, lease: Lease, standby: Standby, outage: Outage) -> None:
        self._lease = lease
        self._standby = standby
        self._outage = outage
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._acquire_at = 0.0
        self._check_at = 0.0
        self._unheld_since: float | None = None

    async def try_to_lead(self) -> bool:
        """Acquire the lease if it is time to try. Return whether it was acquired. Call it again and again."""
        now = self._outage.now()
        if not self._outage.may_try():
            return False
        try:
            if self._standby.should_lead():
                is_too_early = not self._lease.is_retained and self._standby.silence_s < UNRETAINED_SILENCE_S
                if now < self._acquire_at or is_too_early:
                    return False
                is_leader = await self._acquire(now)
            else:
                self._backoff.reset()
                self._acquire_at = 0.0
                if now < self._check_at:
                    return False
                is_leader = await self._check(now)
        except UNAVAILABLE as error:
            self._unheld_since = None
            self._outage.record_failure(error)
            return False
        self._outage.record_success()
        return is_leader

    async def _acquire(self, now: float) -> bool:
        self._unheld_since = None
        last = self._standby.last
        if await self._lease.acquire(last.term if last else 0):
            return True
        self._acquire_at = now + min(self._backoff.pause(), self._lease.expires_in_s)
        return False

    async def _check(self, now: float) -> bool:
        """Check whether the ticks that arrive come from a leader. If nobody has held the lease for long, acquire it."""
        self._check_at = now + CHECK_INTERVAL_S
        if await self._lease.is_held():
            self._unheld_since = None
            return False
        if self._unheld_since is None:
            self._unheld_since = now
        unheld_s = now - self._unheld_since
        if not self._lease.is_retained or not self._standby.should_lead(unheld_s) or not await self._acquire(now):
            return False
        logger.warning("ticks arrive, but nobody has held the lease for %.1f s: taking over", unheld_s)
        return True
