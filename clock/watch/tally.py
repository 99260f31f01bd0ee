"""The tally: how many frames arrived, how late, and with which gaps. Its size does not grow with their number.

One thread adds frames. Others may read meanwhile: they copy a counter first, which Python does in one step.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import Final, Self

# Lateness is counted in steps of 0.1 ms up to a second, of 10 ms from there on, and up to a minute.
_STEPS_PER_MS: Final = 10
_FINE_MS: Final = 1_000
_HIGHEST_MS: Final = 60_000


class Tally:
    """Counts of frames. Times are milliseconds. A gap that is longer than `long_gap_ms` is counted as long."""

    def __init__(self, long_gap_ms: float) -> None:
        self.frames = 0
        self.longest_gap_ms = 0.0
        self.long_gaps = 0
        self._long_gap_ms = long_gap_ms
        self._lateness: Counter[int] = Counter()

    @classmethod
    def merged(cls, tallies: Iterable[Self], long_gap_ms: float) -> Self:
        """Return the sum of some tallies."""
        total = cls(long_gap_ms)
        for one in tallies:
            total.frames += one.frames
            total.longest_gap_ms = max(total.longest_gap_ms, one.longest_gap_ms)
            total.long_gaps += one.long_gaps
            total._lateness.update(dict(one._lateness))  # noqa: SLF001 - of the same class
        return total

    def add_frame(self, gap_ms: float | None, lateness_ms: float | None) -> None:
        """Count a frame. `gap_ms` is the time since the one before, `lateness_ms` how late it is; None if unknown."""
        self.frames += 1
        if gap_ms is not None:
            self.longest_gap_ms = max(self.longest_gap_ms, gap_ms)
            self.long_gaps += gap_ms > self._long_gap_ms
        if lateness_ms is not None:
            self._lateness[_step_of(lateness_ms)] += 1

    def lateness(self, *shares: float) -> list[float] | None:
        """Return, for each share, the lateness that this share of the frames does not exceed; None if none is known.

        The share 0 is the minimum, 0.5 the median. By the nearest rank, in milliseconds.
        """
        if not self._lateness:
            return None
        steps = sorted(self._lateness)
        counts = list(accumulate(self._lateness[step] for step in steps))
        found = []
        for share in shares:
            rank = max(1.0, share * counts[-1])
            found.append(next(step for step, count in zip(steps, counts, strict=True) if count >= rank) / _STEPS_PER_MS)
        return found


def _step_of(lateness_ms: float) -> int:
    lateness_ms = max(-_HIGHEST_MS, min(_HIGHEST_MS, lateness_ms))
    if abs(lateness_ms) < _FINE_MS:
        return round(lateness_ms * _STEPS_PER_MS)
    return round(lateness_ms / 10) * 10 * _STEPS_PER_MS
