"""The load: how busy this worker is, and how busy it would be at another rate. 1.0 is one whole core.

    load = TICKS_COST + viewers * VIEWER_COST + frames per second * writing

`writing` is the processor time that a frame takes, and is measured. Handshakes and page loads do not count. They are
over soon, and a worker that took them for load would close its door on a crowd that it can serve. Nor does the time
count that other processes take from this one: on a busy machine a worker with a hundred viewers would be full.
"""

from collections import deque
from typing import Final, NamedTuple

# Seconds of a core that one viewer costs in a second, apart from its frames: a ping and its pong every 6 s, and a probe
# every 10 to 80 s. Measured with `make bench`.
VIEWER_COST: Final = 9e-6

# Seconds of a core that a second of ticks costs, whoever watches.
TICKS_COST: Final = 0.03

# Processor time of a frame, before any is measured.
INITIAL_WRITING_S: Final = 7e-6

# The time of a frame is an average over about so many seconds: longer while it rises. Handshakes make frames more
# expensive for a while, because they take the processor's caches, and that is no reason to refuse a viewer.
RISE_S: Final = 10.0
FALL_S: Final = 2.0

# If writing takes a lower share of an interval, it is not measured: most of what a few viewers cost does not depend on
# their frames.
MIN_WRITING: Final = 0.05

# The share of conflated ticks in the last intervals from which on the worker cannot keep up, whatever is predicted. A
# single stall of the machine conflates a few.
MAX_CONFLATED: Final = 0.1
CONFLATION_INTERVALS: Final = 4

# With a lower share of a core, the worker is not the reason for conflation.
MIN_OVERRUN_LOAD: Final = 0.1


class Reading(NamedTuple):
    """Totals since the process started, at the monotonic time `now`."""

    now: float
    cpu_s: float  # processor time of the process
    writing_s: float  # processor time that frames took
    frames: int  # frames that were due
    rounds: int
    conflated: int


class Load:
    """Learns what this worker's frames cost, from successive readings."""

    def __init__(self) -> None:
        self.current = 0.0  # of the processor, in the last interval; 1.0 is one core
        self._ticks: deque[tuple[int, int]] = deque(maxlen=CONFLATION_INTERVALS)  # written and conflated, by interval
        self._writing_s = INITIAL_WRITING_S
        self._last: Reading | None = None

    @property
    def is_overrun(self) -> bool:
        """Whether ticks come faster than they can be written, and this worker is the reason, or a part of it."""
        written, conflated = (sum(counts) for counts in zip(*self._ticks, strict=True)) if self._ticks else (0, 0)
        return self.current >= MIN_OVERRUN_LOAD and conflated > MAX_CONFLATED * (written + conflated)

    def forget_conflation(self) -> None:
        """Judge from now on only: the rate has changed."""
        self._ticks.clear()

    def observe(self, reading: Reading) -> None:
        """Learn from the interval since the last reading."""
        last, self._last = self._last, reading
        if last is None or reading.now <= last.now:
            return
        elapsed_s = reading.now - last.now
        self._ticks.append((reading.rounds - last.rounds, reading.conflated - last.conflated))
        self.current = (reading.cpu_s - last.cpu_s) / elapsed_s
        writing_s, frames = reading.writing_s - last.writing_s, reading.frames - last.frames
        if frames and writing_s >= MIN_WRITING * elapsed_s:
            difference_s = writing_s / frames - self._writing_s
            memory_s = RISE_S if difference_s > 0 else FALL_S
            self._writing_s += difference_s * elapsed_s / (elapsed_s + memory_s)

    def predict(self, viewers: int, frames_per_second: int) -> float:
        """Return the load of so many viewers who together receive so many frames per second."""
        return TICKS_COST + viewers * VIEWER_COST + frames_per_second * self._writing_s
