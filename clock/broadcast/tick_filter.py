"""The tick filter: decides which tick may follow which.

It guarantees that a viewer sees `at` rise, unless the clock was set; that a viewer follows one ticker, even while two
believe that they are the leader; and that a viewer never sees an old time, wherever messages were queued.
"""

import time
from collections.abc import Callable
from typing import Final

from clock.contract import Tick

# Without a valid tick for this time, a tick of any term and time is accepted: the previous leader is considered gone.
FORGET_AFTER_S: Final = 3.0

# A tick is old if its lateness exceeds the lowest of the last one or two minutes by more than this.
MAX_LATENESS_MS: Final = 1_000

# After this time of nothing but old ticks, they are accepted: they are not late, they come from another clock.
OLD_CLOCK_AFTER_S: Final = 1.0

# Clocks drift apart, so the lowest lateness is taken over one to two windows of this length.
WINDOW_S: Final = 60.0

# Why a tick is dropped; also the values of the metric's label `reason`.
NOT_NEWER: Final = "not_newer"
OLD: Final = "old"


class TickFilter:
    """Accepts or drops ticks, and keeps the last accepted one. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.last: Tick | None = None
        self.accepted_at = 0.0  # when `last` was accepted, by `now`
        self.accepted = 0
        self.dropped = {NOT_NEWER: 0, OLD: 0}
        self._now = now
        self._highest_step = 0
        self._highest_step_at = 0.0  # when a tick last had it
        self._lateness = Lateness()
        self._old_since: float | None = None

    def accept(self, tick: Tick) -> bool:
        """Accept a tick as the newest, or drop it and return False.

        A tick is dropped if its term is lower than the last one, if its `at` is not higher although no step says that
        the clock was set, or if it is old. After `FORGET_AFTER_S` without a valid tick, any term and time is valid.
        """
        now, last = self._now(), self.last
        is_forgotten = now - self.accepted_at >= FORGET_AFTER_S
        if (
            last is None
            or (tick.term >= last.term and tick.step > self._highest_step)
            or (tick.term < last.term and is_forgotten)
        ):
            self._lateness = Lateness()  # what was measured before says nothing about this clock
        elif not is_forgotten and (tick.term < last.term or tick.at <= last.at):
            self.dropped[NOT_NEWER] += 1
            return False
        if self._is_old(now, tick):
            self.dropped[OLD] += 1
            return False
        # Each term counts the steps of its own clock. A step that no tick has repeated for a while is forgotten: it was
        # forged.
        is_step_known = last is not None and tick.term == last.term and now - self._highest_step_at < FORGET_AFTER_S
        if tick.step >= self._highest_step or not is_step_known:
            self._highest_step, self._highest_step_at = tick.step, now
        self.last, self.accepted_at = tick, now
        self.accepted += 1
        return True

    def _is_old(self, now: float, tick: Tick) -> bool:
        if self._lateness.measure_ms(now, tick.at) <= MAX_LATENESS_MS:
            self._old_since = None
            return False
        if self._old_since is None:
            self._old_since = now
        if now - self._old_since < OLD_CLOCK_AFTER_S:
            return True
        self._lateness, self._old_since = Lateness(), None
        self._lateness.measure_ms(now, tick.at)
        return False


class Lateness:
    """The lateness of ticks, relative to the lowest of the last one or two windows.

    Only differences mean something, because the two clocks have different origins.
    """

    def __init__(self) -> None:
        self._lowest_ms = self._previous_lowest_ms = float("inf")  # of this window and of the one before
        self._window_ends_at = 0.0

    def measure_ms(self, now: float, at: int) -> float:
        """Return the lateness in milliseconds of a tick that arrives at `now` (seconds)."""
        if now >= self._window_ends_at:
            self._window_ends_at = now + WINDOW_S
            self._lowest_ms, self._previous_lowest_ms = float("inf"), self._lowest_ms
        offset_ms = now * 1000 - at
        self._lowest_ms = min(self._lowest_ms, offset_ms)
        return offset_ms - min(self._lowest_ms, self._previous_lowest_ms)
