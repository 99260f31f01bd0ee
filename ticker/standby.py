"""The standby: a ticker that listens to another, and says when it is its turn."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from clock.contract import GROUP, BrokenContract, Tick
from clock.layer import hear
from clock.outage import AWAY, Backoff

logger = logging.getLogger(__name__)

# Seconds of silence after which the standby asks for the lease: five ticks. Asking in vain costs next to nothing.
SILENCE: Final = 0.05

# Seconds of silence after which a standby whose clock is off leads all the same: a wrong time, for nobody has a better.
# It is also when the workers take a tick of any term and time (see clock/relay.py).
LAST_RESORT: Final = 3.0

# Ticks by which the clock is compared. Each came late by what the way took, so the one that was least late counts.
COMPARED: Final = 20


class Standby:
    """What a ticker hears of the one that leads."""

    def __init__(
        self,
        layer: Any,
        max_offset_ms: int,
        *,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: Tick | None = None  # the last that was heard
        self._layer = layer
        self._max_offset_ms = max_offset_ms
        self._wall = wall
        self._now = now
        self._heard_at = -LAST_RESORT  # a ticker that has just come need not wait
        self._offsets: deque[float] = deque(maxlen=COMPARED)
        self._warned = False
        self._listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to listen, if it does not yet."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="standby")

    async def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self._listening = None

    @property
    def hears(self) -> bool:
        """Whether somebody ticks."""
        return self._now() - self._heard_at < SILENCE

    def is_far_behind(self, at: int) -> bool:
        """Return whether a time `at` is so far ahead of this clock that one of the two must be wrong."""
        return at - self._wall() * 1000 > self._max_offset_ms

    def is_its_turn(self) -> bool:
        """Return whether nobody ticks. A standby whose clock is off leaves others time to come before it."""
        silent = self._now() - self._heard_at
        return silent >= (LAST_RESORT if self._is_off() else SILENCE)

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

    def _is_off(self) -> bool:
        offset = min(self._offsets, key=abs, default=0.0)
        off = abs(offset) > self._max_offset_ms
        if off and not self._warned:
            logger.warning(
                "this clock is %+.0f ms off that of the ticker that leads, and %d are allowed: it leads only if no "
                "other does; set one of them right",
                offset, self._max_offset_ms,
            )  # fmt: skip
            self._warned = True
        elif abs(offset) < self._max_offset_ms / 2:
            self._warned = False
        return off

    async def _listen(self) -> None:
        backoff = Backoff(0.05)
        while True:
            try:
                await hear(self._layer, GROUP, self.take)
            except AWAY as error:
                logger.debug("cannot listen: %r", error)
            await asyncio.sleep(backoff.pause())
