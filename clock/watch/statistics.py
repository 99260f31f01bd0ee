"""The statistics of all viewers: over the last seconds, and since their first frames. Times are milliseconds.

One thread adds frames. Others may read meanwhile, so what reads changes nothing.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from clock.watch.failure import Failure
from clock.watch.tally import Tally

WINDOW_S: Final = 10

# A gap is long if it exceeds this, and two periods of the rate. It is the longest one that viewers of `rate=auto` see.
LONG_GAP_MS: Final = 110.0

# A viewer that has received nothing for so long at the end has lost its stream. A failover takes up to 1.3 s.
LOST_AFTER_MS: Final = 2_000.0


@dataclass(eq=False)
class Viewer:
    """What one viewer has received. `closes` counts by close code, `failures` by kind of failure."""

    tally: Tally
    is_connected: bool = False
    connections: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    last_failure: Failure | None = None
    first_ms: float | None = None
    last_ms: float | None = None

    def rate(self, now: float) -> float:
        """Return the frames per second since the first one."""
        if self.first_ms is None or now <= self.first_ms:
            return 0.0
        return (self.tally.frames - 1) / (now - self.first_ms) * 1_000

    def silence(self, now: float) -> float:
        """Return the time since the last frame; 0 before the first one."""
        return 0.0 if self.last_ms is None else max(0.0, now - self.last_ms)


class Lateness(NamedTuple):
    """How late frames were on the ticker's timeline."""

    minimum: float
    median: float
    p99: float


class Span(NamedTuple):
    """The statistics of some time. `rate` is that of the slowest viewer; for the last seconds it is the mean.

    `longest_gap` includes gaps that have not ended yet.
    """

    frames: int
    rate: float
    lateness: Lateness | None
    longest_gap: float
    long_gaps: int


class Statistics:
    """The statistics of `count` viewers that receive a frame every `period_ms`, at the longest."""

    def __init__(self, count: int, period_ms: float) -> None:
        self.long_gap_ms = max(LONG_GAP_MS, 2 * period_ms)
        self.viewers = [Viewer(Tally(self.long_gap_ms)) for _ in range(count)]
        self.newest_at = 0
        self.newest_message = ""
        self._seconds: deque[tuple[int, Tally]] = deque()

    def add_frame(self, viewer: Viewer, arrived: float, at: int, message: str, lateness: float | None) -> None:
        """Count a frame of a viewer."""
        gap = None if viewer.last_ms is None else arrived - viewer.last_ms
        viewer.tally.add_frame(gap, lateness)
        self._second(arrived).add_frame(gap, lateness)
        if viewer.first_ms is None:
            viewer.first_ms = arrived
        viewer.last_ms = arrived
        if at != self.newest_at:
            self.newest_at, self.newest_message = at, message

    @property
    def all_have_frames(self) -> bool:
        """Whether each viewer has received at least one frame."""
        return all(viewer.first_ms is not None for viewer in self.viewers)

    def total(self, now: float) -> Span:
        """Return the statistics since the first frames."""
        tally = Tally.merged((viewer.tally for viewer in self.viewers), self.long_gap_ms)
        silences = [viewer.silence(now) for viewer in self.viewers]
        rate = min(viewer.rate(now) for viewer in self.viewers)
        long_gaps = tally.long_gaps + sum(silence > self.long_gap_ms for silence in silences)
        return Span(tally.frames, rate, _lateness(tally), max(tally.longest_gap_ms, *silences, 0.0), long_gaps)

    def worst_p99(self) -> float | None:
        """Return the p99 of the viewer whose frames are the latest; None if it is unknown of one of them."""
        found = [viewer.tally.lateness(0.99) for viewer in self.viewers]
        known = [one[0] for one in found if one is not None]
        return max(known) if len(known) == len(found) else None

    def recent(self, now: float) -> Span:
        """Return the statistics of the last `WINDOW_S` whole seconds, and of the present one."""
        oldest = int(now // 1_000) - WINDOW_S
        recent = [tally for second, tally in tuple(self._seconds) if second >= oldest]
        tally = Tally.merged(recent, self.long_gap_ms)
        silence = max(viewer.silence(now) for viewer in self.viewers)
        first = min((viewer.first_ms for viewer in self.viewers if viewer.first_ms is not None), default=now)
        start = max(first, oldest * 1_000.0)
        frames_per_ms = tally.frames / (now - start) / len(self.viewers) if now > start else 0.0
        return Span(
            tally.frames, frames_per_ms * 1_000, _lateness(tally), max(tally.longest_gap_ms, silence), tally.long_gaps
        )

    def loss(self, now: float) -> tuple[Viewer, float] | None:
        """Return the viewer that has received nothing for the longest time, and that time; None if that is short."""
        silence, number = max((viewer.silence(now), number) for number, viewer in enumerate(self.viewers))
        return (self.viewers[number], silence) if silence > LOST_AFTER_MS else None

    def _second(self, now: float) -> Tally:
        second = int(now // 1_000)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Tally(self.long_gap_ms)))
            while self._seconds[0][0] < second - WINDOW_S:
                self._seconds.popleft()
        return self._seconds[-1][1]


def _lateness(tally: Tally) -> Lateness | None:
    found = tally.lateness(0.0, 0.5, 0.99)
    return None if found is None else Lateness(*found)
