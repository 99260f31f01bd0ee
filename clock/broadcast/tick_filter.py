"""The tick_filter: which tick may follow which.

A viewer sees `at` rise, unless the clock was set; hears one ticker, also where two believe that they lead; and is never
shown an old time, whatever queued where.
"""

import time
from collections.abc import Callable
from typing import Final

from clock.contract import Tick

# Seconds without a valid tick after which a tick of any term and time is taken: the old order has ended.
FORGET_AFTER: Final = 3.0

# Milliseconds by which a tick may come later than the least late of the last minute or two. Beyond that it is old.
OLD_AFTER_MS: Final = 1_000

# Seconds after which ticks that are all old are taken: then it is not they who are late, but another clock that ticks.
PERSUADED_AFTER: Final = 1.0

# Seconds. Clocks drift apart, so what was least late long ago is forgotten: after one window to two.
WINDOW: Final = 60.0


# Why a tick is dropped.
NOT_ABOVE: Final = "not above the last"
OLD: Final = "old"


class TickFilter:
    """Takes ticks or drops them, and keeps the last that was taken. `now` is in seconds, and nobody sets it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.last: Tick | None = None
        self.taken = 0
        self.dropped = {NOT_ABOVE: 0, OLD: 0}
        self._now = now
        self.taken_at = 0.0  # when the last was taken
        self._highest_step = 0
        self._highest_step_at = 0.0  # when it was last told
        self._lateness = Lateness()
        self._old_since: float | None = None

    def take(self, tick: Tick) -> bool:
        """Take a tick as the newest; or drop it and return False.

        A tick of a lower term is dropped, and so is one that is not above the last, unless the clock was set; and so is
        one that is old. But with no valid tick for `FORGET_AFTER`, any term and time is good.
        """
        now, last = self._now(), self.last
        forgotten = now - self.taken_at >= FORGET_AFTER
        if (
            last is None
            or (tick.term >= last.term and tick.step > self._highest_step)
            or (tick.term < last.term and forgotten)
        ):
            self._lateness = Lateness()  # how late this is cannot be told by what came before
        elif not forgotten and (tick.term < last.term or tick.at <= last.at):
            self.dropped[NOT_ABOVE] += 1
            return False
        if self._is_old(now, tick):
            self.dropped[OLD] += 1
            return False
        # Each term counts the steps of its own clock. A step that nobody tells any more is forgotten: it was forged.
        goes_on = last is not None and tick.term == last.term and now - self._highest_step_at < FORGET_AFTER
        if tick.step >= self._highest_step or not goes_on:
            self._highest_step, self._highest_step_at = tick.step, now
        self.last, self.taken_at = tick, now
        self.taken += 1
        return True

    def _is_old(self, now: float, tick: Tick) -> bool:
        late = self._lateness.of(now, tick.at)
        if late <= OLD_AFTER_MS:
            self._old_since = None
            return False
        if self._old_since is None:
            self._old_since = now
        if now - self._old_since < PERSUADED_AFTER:
            return True
        self._lateness, self._old_since = Lateness(), None
        self._lateness.of(now, tick.at)
        return False


class Lateness:
    """How late ticks come: beyond the least late of the last minute or two, for the two clocks share no beginning."""

    def __init__(self) -> None:
        self._least = self._least_before = float("inf")  # milliseconds, in this window and in the one before
        self._window_ends = 0.0

    def of(self, now: float, at: int) -> float:
        """Return by how many milliseconds a tick is late that comes now (seconds)."""
        if now >= self._window_ends:
            self._window_ends = now + WINDOW
            self._least, self._least_before = float("inf"), self._least
        offset = now * 1000 - at
        self._least = min(self._least, offset)
        return offset - min(self._least, self._least_before)
