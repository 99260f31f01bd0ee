"""The standby: a ticker that listens to another, and says when it is its turn.

Anyone with access to Redis can publish ticks. What a standby hears decides how soon it asks for the lease, and from
which time and term it goes on; the limits here and in `ticker.lease_scripts` bound what a forged tick can do with that.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from clock.contract import GROUP, BrokenContract, Tick
from clock.process.backoff import Backoff
from clock.process.supervisor import Supervisor
from clock.redis.layer import subscribe
from clock.redis.outage import UNAVAILABLE
from ticker.lease_scripts import NEAR

logger = logging.getLogger(__name__)

# Seconds of silence after which the standby asks for the lease: five ticks.
SILENCE: Final = 0.05

# Seconds of silence after which a standby whose clock is off leads all the same: a wrong time, for nobody has a better.
# It is also when the workers take a tick of any term and time (see clock/broadcast/relay.py).
LAST_RESORT: Final = 3.0

# Seconds for which nobody has held the lease, after which it is a standby's turn although ticks come: they are not the
# leader's. A leader extends its lease four times in that.
UNHELD: Final = 1.5

# Ticks by which the clock is compared. Each came late by what the way took, so the one that was least late counts.
COMPARED: Final = 20

# Of so many ticks, how many of a higher term prove another leader: a few may be forged, or the last of an old leader.
PROOF: Final = 5

# Seconds between two lines about this clock being off.
WARN_AGAIN_AFTER: Final = 60.0


class Standby:
    """What a ticker hears of the leader. `supervisor` runs the listening, as the task "standby"."""

    def __init__(
        self,
        layer: Any,
        max_offset_ms: int,
        *,
        supervisor: Supervisor | None = None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: Tick | None = None  # the last that was heard
        self._layer = layer
        self._max_offset_ms = max_offset_ms
        self.supervisor = supervisor or Supervisor()
        self._wall = wall
        self._now = now
        self._heard_at = -LAST_RESORT  # a ticker that has just come need not wait
        self._listening_since = -LAST_RESORT
        self._offsets: deque[float] = deque(maxlen=COMPARED)
        self._terms: deque[int] = deque(maxlen=COMPARED)
        self._was_off = False
        self._warned_at = float("-inf")

    def listen(self) -> None:
        """Begin to listen, if it does not yet."""
        if not self.is_listening:
            self._terms.clear()
            self._listening_since = self._now()
            self.supervisor.start("standby", self._listen)

    async def stop(self) -> None:
        """Listen no more."""
        await self.supervisor.stop("standby")

    @property
    def is_listening(self) -> bool:
        """Whether it listens."""
        return self.supervisor.is_supervised("standby")

    @property
    def hears(self) -> bool:
        """Whether ticks come."""
        return self._now() - self._heard_at < SILENCE

    @property
    def silence(self) -> float:
        """For how many seconds it has listened and heard nothing."""
        return self._now() - max(self._heard_at, self._listening_since)

    def hears_above(self, term: int) -> bool:
        """Return whether somebody leads with a higher term, by what was heard since it began to listen."""
        return sum(term < heard <= term + NEAR for heard in self._terms) >= PROOF

    def is_far_behind(self, at: int) -> bool:
        """Return whether a time `at` is so far ahead of this clock that one of the two must be wrong.

        It is in any case if this clock gets there only after viewers would have gone without a time for seconds.
        """
        return at - self._wall() * 1000 > min(self._max_offset_ms, LAST_RESORT * 1000)

    def is_its_turn(self, unheld: float = 0.0) -> bool:
        """Return whether to ask for the lease: no ticks come, or nobody has held the lease for `unheld` seconds.

        A standby whose clock is off leaves others time to come before it.
        """
        silent = self._now() - self._heard_at
        if self._is_off():
            return max(silent, unheld) >= LAST_RESORT
        return silent >= SILENCE or unheld >= UNHELD

    def take(self, messages: list[Any]) -> None:
        """Take note of messages to the group."""
        for message in messages:
            try:
                self.last = Tick.from_message(message)
            except BrokenContract as broken:
                logger.debug("dropped %s", broken)
            else:
                self._heard_at = self._now()
                self._offsets.append(self._wall() * 1000 - self.last.at)
                self._terms.append(self.last.term)

    def _is_off(self) -> bool:
        offset = min(self._offsets, key=abs, default=0.0)
        off = abs(offset) > self._max_offset_ms
        if off and not self._was_off and self._now() - self._warned_at >= WARN_AGAIN_AFTER:
            logger.warning(
                "this clock is %+.0f ms off that of the ticker that leads, and %d are allowed: it leads only if no "
                "other does; set one of them right",
                offset, self._max_offset_ms,
            )  # fmt: skip
            self._was_off, self._warned_at = True, self._now()
        elif abs(offset) < self._max_offset_ms / 2:
            self._was_off = False
        return off

    async def _listen(self) -> None:
        backoff = Backoff(0.05)
        while True:
            heard_at = self._heard_at
            try:
                await subscribe(self._layer, GROUP, self.take)
            except UNAVAILABLE as error:
                logger.debug("cannot listen: %r", error)
            if self._heard_at != heard_at:
                backoff.reset()
            await asyncio.sleep(backoff.pause())
