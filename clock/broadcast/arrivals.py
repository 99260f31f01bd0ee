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
        self._offset_ms: float | None = None  # the ticker's clock is so far ahead of this worker's
        self._source: tuple[int, int, str] = (-1, 0, "")  # the clock that it is the offset to
        self._refresh_at = 0.0

    def record(self, tick: Tick, now: float) -> None:
        """Record a tick that arrived at `now`, in seconds by this worker's clock."""
        source = (tick.term, tick.step, tick.server)
        if source != self._source or now >= self._refresh_at:
            self._source, self._refresh_at = source, now + REFRESH_S
            worker = self._compare()
            self._offset_ms = worker.ahead - tick.ahead if worker and worker.server == tick.server else None
        if self._offset_ms is not None:
            self.lateness.record((now * 1_000 + self._offset_ms - tick.at) / 1_000)
