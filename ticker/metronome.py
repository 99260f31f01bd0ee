"""The metronome: when to tick. Ticks lie on the 10 ms boundaries of the wall clock, at most one on each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from clock.contract import MAX_AT_MS, MIN_AT_MS, TICK_MS

TICK_NS: Final = TICK_MS * 1_000_000

# The event loop's timers are up to a millisecond late (epoll counts in whole milliseconds), plus the time that other
# tasks take. So they wake the ticker this much too early, and the rest is waited precisely.
APPROACH_NS: Final = 2_000_000

# A sleeping process wakes about a tenth of a millisecond late. So the very last part is a busy wait. It costs 2 % of a
# core, and the tick is on time.
SPIN_NS: Final = 200_000

# NTP slews the wall clock against the monotonic clock by at most 500 ppm (the kernel's limit); twice that is allowed
# here. A larger difference, if it is also more than one tick, means that the clock was set.
MAX_SLEW_DIVISOR: Final = 1_000

# Two clocks count as read at the same moment if the reads are at most this far apart.
MAX_READ_GAP_NS: Final = 100_000

# What Python reads from a clock whose nanoseconds exceed 63 bits: from the year 2262 on, it no longer advances.
STUCK_NS: Final = 2**63 - 1

# After so many blocking waits for one tick, of at most 2 ms each, the event loop runs between waits: the wall clock
# does not advance.
MAX_BLOCKING_WAITS: Final = 5


class TimeOutOfRange(RuntimeError):
    """The wall clock is outside of the years 1970 to 9999. The text names the time and the remedy."""


class Reading(NamedTuple):
    """The wall clock and the monotonic clock at the same moment."""

    wall_ns: int
    monotonic_ns: int


# It continues while the machine is suspended, as the wall clock does. macOS has no such clock under this name.
_MONOTONIC_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def read_monotonic_ns() -> int:
    """Read a clock that cannot be set and that continues during suspend, in nanoseconds."""
    return time.clock_gettime_ns(_MONOTONIC_CLOCK)


def read_clocks() -> Reading:
    """Read both clocks. Unless the machine is very busy, the reads are less than 0.1 ms apart."""
    for _ in range(5):
        before = time.clock_gettime_ns(_MONOTONIC_CLOCK)
        wall = time.time_ns()
        after = time.clock_gettime_ns(_MONOTONIC_CLOCK)
        if after - before < MAX_READ_GAP_NS:
            break
    return Reading(wall, (before + after) // 2)


async def sleep_coarsely(duration_ns: int) -> None:
    """Yield to the event loop for the duration, or for a millisecond or two more."""
    await asyncio.sleep(duration_ns / 1e9)


def wait_precisely(duration_ns: int) -> None:
    """Wait for the duration to the microsecond. It blocks the event loop."""
    deadline_ns = time.monotonic_ns() + duration_ns
    if duration_ns > SPIN_NS:
        time.sleep((duration_ns - SPIN_NS) / 1e9)
    while time.monotonic_ns() < deadline_ns:
        pass


@dataclass(slots=True)
class TickCounts:
    """The number of ticks that a metronome skipped, and the highest lateness of one that it gave.

    `steps` is how often it found that the wall clock was set.
    """

    skipped: int = 0
    steps: int = 0
    max_lateness_ns: int = 0


class Metronome:
    """Returns the time of each tick when it is due.

    After a stall it continues with the newest boundary: it skips ticks, and never sends a burst. When the wall clock is
    set, forwards or back, `step` rises and the ticks continue from the new time. If the wall clock went back by less
    than a tick, the metronome waits for it. Every method that reads the wall clock raises TimeOutOfRange if it is
    before 1970 or after 9999.
    """

    def __init__(
        self,
        clocks: Callable[[], Reading] = read_clocks,
        sleep: Callable[[int], Awaitable[None]] = sleep_coarsely,
        wait: Callable[[int], None] = wait_precisely,
    ) -> None:
        self.counts = TickCounts()
        self._clocks = clocks
        self._sleep = sleep
        self._wait = wait
        self.start()

    def start(self, *, after: int = 0, step: int = 0) -> None:
        """Start with the next boundary, or with the first after the time `after` (milliseconds) if that is later."""
        self.step = step
        self._reading = self._read()
        self._last_ns = max(_boundary(self._reading.wall_ns), after * 1_000_000)

    def check(self) -> None:
        """Check the wall clock.

        Raises:
            TimeOutOfRange: it is before 1970 or after 9999.
        """
        self._read()

    async def approach(self) -> bool:
        """Wait until 2 ms before the next tick. Return whether there is time left to prepare it."""
        left_ns = self._left_ns()
        if left_ns > APPROACH_NS:
            await self._sleep(left_ns - APPROACH_NS)
            left_ns = self._left_ns()
        return left_ns > 0

    async def tick(self) -> int:
        """Wait for the next tick and return its time `at`, in milliseconds since the Unix epoch."""
        await self.approach()
        waits = 0
        while (left_ns := self._left_ns()) > 0:
            if waits >= MAX_BLOCKING_WAITS:
                await self._sleep(0)
            self._wait(min(left_ns, APPROACH_NS))
            waits += 1
        due_ns = _boundary(self._reading.wall_ns)
        self.counts.skipped += (due_ns - self._last_ns) // TICK_NS - 1
        self.counts.max_lateness_ns = max(self.counts.max_lateness_ns, self._reading.wall_ns - due_ns)
        self._last_ns = due_ns
        return due_ns // 1_000_000

    def lateness_s(self, at: int) -> float:
        """Return how late the tick of `at` (milliseconds) was when the clocks were last read, in seconds.

        They are read by `tick` and by `discount`. To read them once more would take longer than all else here.
        """
        return (self._reading.wall_ns - at * 1_000_000) / 1e9

    def discount(self) -> int:
        """Drop the ticks that were due before the newest boundary, and return their number.

        They do not count as skipped. It is for a caller that knows why it was delayed.
        """
        newest_but_one_ns = _boundary(self._update_ns()) - TICK_NS
        discounted = max(0, (newest_but_one_ns - self._last_ns) // TICK_NS)
        self._last_ns += discounted * TICK_NS
        return discounted

    def _left_ns(self) -> int:
        """Return the time until the next tick. It is 0 or negative if the tick is due."""
        now_ns = self._update_ns()  # first, because it moves the last tick if the clock was set
        return self._last_ns + TICK_NS - now_ns

    def _update_ns(self) -> int:
        """Read the clocks, detect whether the wall clock was set, and return its present time."""
        previous, now = self._reading, self._read()
        self._reading = now
        elapsed_ns = now.monotonic_ns - previous.monotonic_ns
        change_ns = now.wall_ns - previous.wall_ns - elapsed_ns
        if abs(change_ns) > TICK_NS + elapsed_ns // MAX_SLEW_DIVISOR:
            self.step += 1
            self.counts.steps += 1
            # As if the clock had shown the new time all along, so that ticks lost to a stall before it still count. The
            # two reads may be up to MAX_READ_GAP_NS apart; without that allowance the last tick could move one boundary
            # back, and the next one would be due at once.
            self._last_ns = _boundary(self._last_ns + change_ns + MAX_READ_GAP_NS)
        return now.wall_ns

    def _read(self) -> Reading:
        reading = self._clocks()
        if not MIN_AT_MS <= reading.wall_ns // 1_000_000 <= MAX_AT_MS or reading.wall_ns == STUCK_NS:
            raise TimeOutOfRange(
                f"this host's clock shows {reading.wall_ns / 1e9:.0f} s since 1970, which is before 1970, after 9999, "
                "or too late for Python to read (2262): set the clock, then restart the ticker"
            )
        return reading


def _boundary(wall_ns: int) -> int:
    return wall_ns // TICK_NS * TICK_NS
