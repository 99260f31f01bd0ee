"""The candidate: a standby that may become the leader, and how often it asks Redis for that."""

import logging
from typing import Final

from clock.process.backoff import Backoff
from clock.redis.outage import UNAVAILABLE, Outage
from ticker.lease import Lease
from ticker.lease_scripts import LEASE_MS
from ticker.standby import Standby

logger = logging.getLogger(__name__)

# Seconds between two attempts to take a lease that another holds while no ticks come: the first two, and the longest.
# Whoever stopped a moment ago releases it at once; whoever died, when it runs out.
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.25

# Seconds between two looks whether anybody holds the lease, while ticks come.
LOOK_INTERVAL: Final = 0.3

# Seconds of silence after which to lead where Redis is unable to keep a key from one command to the next. There the
# lease is always free, which proves nothing. But a leader that is silent stops when its lease runs out, there as well.
UNKEPT_SILENCE: Final = LEASE_MS / 1_000


class Candidate:
    """Asks for the lease when it is the standby's turn."""

    def __init__(self, lease: Lease, standby: Standby, outage: Outage) -> None:
        self._lease = lease
        self._standby = standby
        self._outage = outage
        self._pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._take_at = 0.0
        self._look_at = 0.0
        self._unheld_since: float | None = None

    async def try_to_lead(self) -> bool:
        """Take the lease if it is time to try, and return whether it is held now. To be called again and again."""
        now = self._outage.now()
        if not self._outage.may_try():
            return False
        try:
            if self._standby.is_its_turn():
                if now < self._take_at or (not self._lease.is_kept and self._standby.silence < UNKEPT_SILENCE):
                    return False
                taken = await self._take(now)
            else:
                self._pauses.reset()
                self._take_at = 0.0
                if now < self._look_at:
                    return False
                taken = await self._look(now)
        except UNAVAILABLE as error:
            self._unheld_since = None
            self._outage.record_failure(error)
            return False
        self._outage.record_success()
        return taken

    async def _take(self, now: float) -> bool:
        self._unheld_since = None
        heard = self._standby.last
        taken = await self._lease.take(heard.term if heard else 0)
        if not taken:
            self._take_at = now + min(self._pauses.pause(), self._lease.free_in)
        return taken

    async def _look(self, now: float) -> bool:
        """See whether the ticks that come are a leader's; if nobody holds the lease for long, take it."""
        self._look_at = now + LOOK_INTERVAL
        if await self._lease.is_held():
            self._unheld_since = None
            return False
        if self._unheld_since is None:
            self._unheld_since = now
        unheld = now - self._unheld_since
        if not self._lease.is_kept or not self._standby.is_its_turn(unheld) or not await self._take(now):
            return False
        logger.warning("ticks come, but nobody has held the lease for %.1f s: taking over", unheld)
        return True
