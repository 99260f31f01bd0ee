"""The standby: receives the ticks of the leader, and decides when to take over.

Every client of Redis can publish ticks. What a standby receives decides how soon it asks for the lease, and from which
time and term it continues. The limits here and in `ticker.lease_scripts` bound what a forged tick can do with that.
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
from ticker.lease_scripts import MAX_RECEIVED_RISE

logger = logging.getLogger(__name__)

# After this time without a tick (five ticks) the standby asks for the lease.
SILENCE_S: Final = 0.05

# After this time without a tick a standby takes over even if its clock is off: a wrong time is better than none. The
# workers accept a tick of any term and time after the same time (see clock/broadcast/tick_filter.py).
LAST_RESORT_S: Final = 3.0

# After this time in which nobody held the lease, a standby takes over although ticks arrive: they are not the leader's.
# A leader renews its lease four times in that time.
UNHELD_S: Final = 1.5

# The number of ticks with which the clock is compared. Each was delayed on its way, so the smallest offset counts.
OFFSET_SAMPLES: Final = 20

# The number of recent ticks with a higher term that prove another leader. Fewer may be forged, or the last ones of a
# former leader.
HIGHER_TERM_TICKS: Final = 5

# The warning that this clock is off is logged at most once a minute.
WARN_AGAIN_AFTER_S: Final = 60.0

# The first pause between two attempts to subscribe; see `Backoff`.
FIRST_PAUSE_S: Final = 0.05

# The name of its task.
STANDBY: Final = "standby"


class Standby:
    """What a ticker knows of the leader. Its task runs under `supervisor`.

    `wall` is the wall clock and `now` a monotonic clock, both in seconds. Two clocks that differ by more than
    `max_offset_ms` count as off.
    """

    def __init__(
        self,
        layer: Any,
        max_offset_ms: int,
        *,
        supervisor: Supervisor | None = None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: Tick | None = None  # the last tick received
        self._layer = layer
        self._max_offset_ms = max_offset_ms
        self.supervisor = supervisor or Supervisor()
        self._wall = wall
        self._now = now
        self._received_at = -LAST_RESORT_S  # so that a new ticker need not wait
        self._started_at = -LAST_RESORT_S
        self._offsets_ms: deque[float] = deque(maxlen=OFFSET_SAMPLES)
        self._terms: deque[int] = deque(maxlen=OFFSET_SAMPLES)
        self._was_off = False
        self._warned_at = float("-inf")

    def start(self) -> None:
        """Start receiving ticks. Nothing happens if it is running."""
        if not self.is_running:
            self._terms.clear()
            self._started_at = self._now()
            self.supervisor.start(STANDBY, self._run)

    async def stop(self) -> None:
        """Stop receiving ticks."""
        await self.supervisor.stop(STANDBY)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self.supervisor.is_supervised(STANDBY)

    @property
    def is_receiving(self) -> bool:
        """Whether ticks arrive."""
        return self._now() - self._received_at < SILENCE_S

    @property
    def silence_s(self) -> float:
        """The time since the last tick, or since the start if that was later."""
        return self._now() - max(self._received_at, self._started_at)

    def has_higher_leader(self, term: int) -> bool:
        """Return whether the ticks received since the start prove that there is a leader with a higher term."""
        return sum(term < received <= term + MAX_RECEIVED_RISE for received in self._terms) >= HIGHER_TERM_TICKS

    def is_far_behind(self, at: int) -> bool:
        """Return whether this clock is so far behind the time `at` (milliseconds) that one of the two must be wrong.

        It is in any case if viewers would get no tick for seconds until this clock reaches `at`.
        """
        return at - self._wall() * 1000 > min(self._max_offset_ms, LAST_RESORT_S * 1000)

    def should_lead(self, unheld_s: float = 0.0) -> bool:
        """Return whether to ask for the lease: no ticks arrive, or nobody has held the lease for `unheld_s`.

        A standby whose clock is off waits longer, so that others come first.
        """
        silence_s = self._now() - self._received_at
        if self._is_off():
            return max(silence_s, unheld_s) >= LAST_RESORT_S
        return silence_s >= SILENCE_S or unheld_s >= UNHELD_S

    def on_messages(self, messages: list[Any]) -> None:
        """Handle messages of the group."""
        for message in messages:
            try:
                self.last = Tick.from_message(message)
            except BrokenContract as error:
                logger.debug("dropped a message: %s", error)
            else:
                self._received_at = self._now()
                self._offsets_ms.append(self._wall() * 1000 - self.last.at)
                self._terms.append(self.last.term)

    def _is_off(self) -> bool:
        """Return whether this clock differs too much from the leader's, and log it once."""
        offset_ms = min(self._offsets_ms, key=abs, default=0.0)
        is_off = abs(offset_ms) > self._max_offset_ms
        if is_off and not self._was_off and self._now() - self._warned_at >= WARN_AGAIN_AFTER_S:
            logger.warning(
                "this clock is %+.0f ms off the leader's clock, at most %d ms are allowed: this ticker takes over only "
                "if no other does; set one of the two clocks",
                offset_ms, self._max_offset_ms,
            )  # fmt: skip
            self._was_off, self._warned_at = True, self._now()
        elif abs(offset_ms) < self._max_offset_ms / 2:
            self._was_off = False
        return is_off

    async def _run(self) -> None:
        """Receive ticks forever. Subscribe again whenever Redis is unavailable."""
        backoff = Backoff(FIRST_PAUSE_S)
        while True:
            received_at = self._received_at
            try:
                await subscribe(self._layer, GROUP, self.on_messages)
            except UNAVAILABLE as error:  # the candidate logs the outage
                logger.debug("cannot subscribe: %r", error)
            if self._received_at != received_at:
                backoff.reset()
            await asyncio.sleep(backoff.pause())
