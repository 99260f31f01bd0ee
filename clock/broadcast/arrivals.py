"""The arrivals: how late ticks are when this worker handles them, by the ticker's clock."""

from collections.abc import Callable
from typing import Final

from clock.contract import Tick
from clock.process.histogram import Histogram
from clock.redis.comparison import Comparison

# Seconds for which the offset between the two clocks is used. Each side compares its clock with Redis once a second.
REFRESH_S: Final = 1.0


class Arrivals:
    """Records the lateness of ticks on arrival, with the margin of error of `/clock/now`.

    `compare` returns the comparison of this worker's clock with that of Redis. While the offset to the ticker's clock
    is unknown, nothing is recorded.
    """

    def __init__(self, compare: Callable[[], Comparison | None]) -> None:
        self.lateness = Histogram()
        self._compare = compare
        self._offset_s: float | None = None  # the ticker's clock is so far ahead of this worker's
        self._term, self._step = -1, 0  # of the ticks that it is for
        self._refresh_at = 0.0

    def record(self, tick: Tick, now: float) -> None:
        """Record a tick that arrived at `now`, in seconds by this worker's clock."""
        if now >= self._refresh_at or tick.step != self._step or tick.term != self._term:
            self._refresh(tick, now)
        if self._offset_s is not None:
            self.lateness.record(now + self._offset_s - tick.at / 1_000)

    def _refresh(self, tick: Tick, now: float) -> None:
        """Compare the two clocks again: after a while, or because the tick comes from another clock than the last."""
        self._term, self._step, self._refresh_at = tick.term, tick.step, now + REFRESH_S
        self._offset_s, worker = None, self._compare()
        if worker is not None and worker.server == tick.server:
            self._offset_s = (worker.ahead - tick.ahead) / 1_000
