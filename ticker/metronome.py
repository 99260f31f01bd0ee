"""When to tick: on the 10 ms boundaries of the wall clock, each at most once, and never in a burst."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from clock.contract import TICK_MS

TICK_NS: Final = TICK_MS * 1_000_000

# The event loop's timers are late by up to a millisecond (epoll counts whole ones), and by what else the loop has to
# do. So it is left to them to wake us this much too early, and the rest is waited out exactly.
APPROACH_NS: Final = 2_000_000

# A sleeping process wakes about a tenth of a millisecond late. So the very last is not slept: 2 % of a core, for a tick
# that goes out on time.
SPIN_NS: Final = 200_000

# Wall clock and running clock drift apart by what NTP slews: at most 500 ppm by the kernel's own discipline, taken
# twice. What is more than that, and more than a tick, is a clock that was set.
SLEW_PER: Final = 1_000

# Two clocks were read together if no more than this went by.
TOGETHER_NS: Final = 100_000

# The times that can be told, in milliseconds since the Unix epoch: from 1970 on, and in every zone still in the year
# 9999, which is the last that Python's dates know.
MIN_AT: Final = 0
MAX_AT: Final = 253_402_214_399_990

# What Python reads from a clock that shows more nanoseconds than 63 bits hold: from the year 2262 on it stands still.
STUCK_NS: Final = 2**63 - 1

# Waits for one tick, of at most 2 ms each, after which the event loop gets a turn: the wall clock does not go on.
PATIENT_WAITS: Final = 5


class ImpossibleTime(RuntimeError):
    """The wall clock shows a time that cannot be told; the text says which, and what to do."""


class Reading(NamedTuple):
    """The wall clock and a clock that nobody can set, read together: nanoseconds."""

    wall: int
    running: int


# It runs on while the machine is suspended, as the wall clock does; macOS has no such clock under this name.
_RUNNING_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def read_running_clock() -> int:
    """Read the clock that nobody can set: nanoseconds."""
    return time.clock_gettime_ns(_RUNNING_CLOCK)


def read_clocks() -> Reading:
    """Read both clocks, within a tenth of a millisecond of each other unless the machine is very busy."""
    for _ in range(5):
        before = time.clock_gettime_ns(_RUNNING_CLOCK)
        wall = time.time_ns()
        after = time.clock_gettime_ns(_RUNNING_CLOCK)
        if after - before < TOGETHER_NS:
            break
    return Reading(wall, (before + after) // 2)


async def doze(duration: int) -> None:
    """Give the event loop the next `duration` nanoseconds, or a millisecond or two more."""
    await asyncio.sleep(duration / 1e9)


def wait_precisely(duration: int) -> None:
    """Wait for `duration` nanoseconds to the microsecond, and block the event loop meanwhile."""
    deadline = time.monotonic_ns() + duration
    if duration > SPIN_NS:
        time.sleep((duration - SPIN_NS) / 1e9)
    while time.monotonic_ns() < deadline:
        pass


@dataclass(slots=True)
class Punctuality:
    """What a metronome counts: the ticks it gave, those it skipped, and how late the latest came (nanoseconds)."""

    ticks: int = 0
    skipped: int = 0
    worst_ns: int = 0


class Metronome:
    """Gives the time of each tick, when it is due.

    After a stall it goes to the newest boundary: it skips, and never bursts. When the wall clock is set, forwards or
    back, `step` rises and the ticks go on from the new time. A wall clock that only lost a moment (less than a tick) is
    waited for. Whatever reads the wall clock raises ImpossibleTime if that is before 1970 or after 9999.
    """

    def __init__(
        self,
        clocks: Callable[[], Reading] = read_clocks,
        doze: Callable[[int], Awaitable[None]] = doze,
        wait: Callable[[int], None] = wait_precisely,
    ) -> None:
        self.count = Punctuality()
        self._clocks = clocks
        self._doze = doze
        self._wait = wait
        self.start()

    def start(self, *, after: int = 0, step: int = 0) -> None:
        """Begin with the next boundary; or with the next after the time `at` that is given, if that is later."""
        self.step = step
        self._reading = self._read()
        self._last = max(_boundary(self._reading.wall), after * 1_000_000)

    def check(self) -> None:
        """Raise ImpossibleTime if there is a reason."""
        self._read()

    async def approach(self) -> bool:
        """Wait until 2 ms before the next tick; return whether there is time left to make something ready for it."""
        left = self._left()
        if left > APPROACH_NS:
            await self._doze(left - APPROACH_NS)
            left = self._left()
        return left > 0

    async def tick(self) -> int:
        """Wait for the next tick and return its time `at`, in milliseconds since the Unix epoch."""
        await self.approach()
        waits = 0
        while (left := self._left()) > 0:
            if waits >= PATIENT_WAITS:
                await self._doze(0)
            self._wait(min(left, APPROACH_NS))
            waits += 1
        due = _boundary(self._reading.wall)
        self.count.ticks += 1
        self.count.skipped += (due - self._last) // TICK_NS - 1
        self.count.worst_ns = max(self.count.worst_ns, self._reading.wall - due)
        self._last = due
        return due // 1_000_000

    def discount(self) -> int:
        """Leave out the ticks that were due before the newest boundary, and return how many they are.

        They do not count as skipped: this is for a caller who knows what has kept it.
        """
        newest_but_one = _boundary(self._look()) - TICK_NS
        excused = max(0, (newest_but_one - self._last) // TICK_NS)
        self._last += excused * TICK_NS
        return excused

    def _left(self) -> int:
        """Return the nanoseconds to the next tick, at most 0 if it is due."""
        now = self._look()  # first, for it may move the last tick to the time that was set
        return self._last + TICK_NS - now

    def _look(self) -> int:
        """Read the clocks, notice when the wall clock was set, and return what it shows now."""
        before, now = self._reading, self._read()
        self._reading = now
        elapsed = now.running - before.running
        set_by = now.wall - before.wall - elapsed
        if abs(set_by) > TICK_NS + elapsed // SLEW_PER:
            self.step += 1
            # As if the clock had shown the new time all along: what a stall before it swallowed still counts. Clocks
            # that are not read quite together must not make the last tick one earlier, and the next one due at once.
            self._last = _boundary(self._last + set_by + TOGETHER_NS)
        return now.wall

    def _read(self) -> Reading:
        reading = self._clocks()
        if not MIN_AT <= reading.wall // 1_000_000 <= MAX_AT or reading.wall == STUCK_NS:
            raise ImpossibleTime(
                f"this host's clock shows {reading.wall / 1e9:.0f} s after 1970, which is before that year, or after "
                "9999 or what can be read: set it right, and start the ticker again"
            )
        return reading


def _boundary(wall: int) -> int:
    return wall // TICK_NS * TICK_NS
