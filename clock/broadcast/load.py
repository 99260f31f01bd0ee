"""The load: how busy this worker is, and how busy it would be at another rate. 1.0 is one whole core.

    load = TICKS_COST + viewers * VIEWER_COST + frames per second * (writing + other)

`writing` is the time that the fan-out takes for a frame, and `other` is what else the process does, divided by the
frames. Both are measured. Under our own server `other` is small; on a server whose every frame passes through a task,
it is most of the cost.

Handshakes do not count. They are over soon, and a worker that took them for load would close its door on a crowd that
it can serve. So `other` is not measured while clients connect.
"""

from collections import deque
from typing import Final, NamedTuple

# Seconds of a core that one viewer costs in a second, apart from its frames: a ping and its pong every 6 s, and a probe
# every 10 to 60 s. Measured with `make bench`.
VIEWER_COST: Final = 12e-6

# Seconds of a core that a second of ticks costs, whoever watches.
TICKS_COST: Final = 0.03

# The costs of a frame before any is measured, in seconds.
INITIAL_WRITING_S: Final = 7e-6
INITIAL_OTHER_S: Final = 0.0

# The costs of a frame are averages over about so many seconds. Other processes of the machine make single intervals
# expensive, and that is no reason to refuse a viewer.
MEMORY_S: Final = 2.0

# At a lower load the costs of a frame are not measured: most of what a few viewers cost does not depend on frames.
MIN_MEASURED_LOAD: Final = 0.1

# More handshakes in a second are a storm.
MAX_CALM_HANDSHAKES_PER_S: Final = 20.0

# The share of conflated ticks in the last intervals from which on the worker cannot keep up, whatever is predicted. A
# single stall of the machine conflates a few.
MAX_CONFLATED: Final = 0.1
CONFLATION_INTERVALS: Final = 4


class Reading(NamedTuple):
    """Totals since the process started, at the monotonic time `now`."""

    now: float
    cpu_s: float  # processor time of the process
    writing_s: float  # time that the fan-out spent in rounds
    frames: int  # frames that were due
    rounds: int
    conflated: int
    handshakes: int  # clients that were accepted or refused


class Load:
    """Learns the costs of this worker from successive readings."""

    def __init__(self) -> None:
        self.current = 0.0  # of the processor, in the last interval; 1.0 is one core
        self._ticks: deque[tuple[int, int]] = deque(maxlen=CONFLATION_INTERVALS)  # written and conflated, by interval
        self._writing_s = INITIAL_WRITING_S
        self._other_s = INITIAL_OTHER_S
        self._last: Reading | None = None

    @property
    def is_overrun(self) -> bool:
        """Whether ticks come faster than they can be written, and this worker is the reason, or a part of it."""
        written, conflated = (sum(counts) for counts in zip(*self._ticks, strict=True)) if self._ticks else (0, 0)
        return self.current >= MIN_MEASURED_LOAD and conflated > MAX_CONFLATED * (written + conflated)

    def forget_conflation(self) -> None:
        """Judge from now on only: the rate has changed."""
        self._ticks.clear()

    def observe(self, reading: Reading, viewers: int) -> None:
        """Learn from the interval since the last reading, in which there were so many viewers."""
        last, self._last = self._last, reading
        if last is None or reading.now <= last.now:
            return
        elapsed_s = reading.now - last.now
        cpu_s, writing_s = reading.cpu_s - last.cpu_s, reading.writing_s - last.writing_s
        self._ticks.append((reading.rounds - last.rounds, reading.conflated - last.conflated))
        self.current = cpu_s / elapsed_s
        frames = reading.frames - last.frames
        if not frames or self.current < MIN_MEASURED_LOAD:
            return
        weight = elapsed_s / (elapsed_s + MEMORY_S)
        self._writing_s += weight * (writing_s / frames - self._writing_s)
        if reading.handshakes - last.handshakes <= MAX_CALM_HANDSHAKES_PER_S * elapsed_s:
            other_s = cpu_s - writing_s - elapsed_s * (TICKS_COST + viewers * VIEWER_COST)
            self._other_s += weight * (max(0.0, other_s) / frames - self._other_s)

    def predict(self, viewers: int, frames_per_second: int) -> float:
        """Return the load of so many viewers who together receive so many frames per second."""
        return TICKS_COST + viewers * VIEWER_COST + frames_per_second * (self._writing_s + self._other_s)
