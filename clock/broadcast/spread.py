"""The spread: the viewers of one request, distributed evenly over the ticks of a period.

If a thousand viewers receive ten frames a second, all on the same tick, the last of them receives it several
milliseconds after the first, and nine ticks of ten are idle. Spread over the ten ticks of a period, each tick serves
a hundred.
"""

from collections.abc import Collection, Iterator
from math import lcm
from typing import Final, NamedTuple

from clock.asgi import Viewer, Write
from clock.broadcast.cohort import Cohort
from clock.contract import AUTO, AUTO_RATES, TICK_MS, StreamRequest

TICKS_PER_SECOND: Final = 1000 // TICK_MS

# The cohorts of viewers whose rate the worker chooses. Their number is a multiple of the number of ticks in each of the
# periods. So they are even at each of the rates, and nobody moves when the rate changes.
AUTO_PHASES: Final = lcm(*(TICKS_PER_SECOND // rate for rate in AUTO_RATES))


class Due(NamedTuple):
    """Cohorts of one spread that are to be written to together."""

    since: int  # the first tick that they were due for
    spread: "Spread"
    cohorts: list[Cohort]

    def __len__(self) -> int:
        return sum(map(len, self.cohorts))


class Spread:
    """The viewers of one request, in cohorts of different phases. `rate` is in frames per second; it may be changed.

    No gap between two frames of a viewer exceeds the longer period by more than the time for which it has to wait.
    """

    def __init__(self, rate: int, phases: int) -> None:
        self.rate = rate
        self._cohorts = [Cohort(phase) for phase in range(phases)]
        self._size = 0

    @classmethod
    def of(cls, request: StreamRequest, auto_rate: int) -> "Spread":
        """Return an empty spread for a request."""
        if request.rate == AUTO:
            return cls(auto_rate, AUTO_PHASES)
        rate = int(request.rate)
        return cls(rate, TICKS_PER_SECOND // rate if request.any_phase else 1)

    def __len__(self) -> int:
        return self._size

    def sizes(self) -> list[int]:
        """Return the number of viewers in each phase."""
        return [len(cohort) for cohort in self._cohorts]

    def join(self, viewer: Viewer) -> None:
        """Add a viewer to the smallest cohort."""
        min(self._cohorts, key=len).join(viewer)
        self._size += 1

    def leave(self, viewer: Viewer) -> bool:
        """Remove a viewer, and return True; or return False if it is not here."""
        if not any(cohort.leave(viewer) for cohort in self._cohorts):
            return False
        self._size -= 1
        return True

    def due(self, at: int) -> Iterator[Due]:
        """Yield the cohorts that are due for the tick of `at`.

        At the full rate they are due together: each tick is for all of them, also if the next one arrives meanwhile.
        """
        period_ms = 1000 // self.rate
        found = [(since, one) for one in self._cohorts if one and (since := one.due_since(at, period_ms)) is not None]
        if found and period_ms == TICK_MS:
            yield Due(min(since for since, _ in found), self, [one for _, one in found])
        else:
            yield from (Due(since, self, [one]) for since, one in found)

    def level(self, cohorts: list[Cohort], waiting: Collection[Cohort]) -> None:
        """Move viewers from cohorts that have too many to the smallest ones. Call it when they have been written to.

        Not to those of `waiting`: they will be written to soon, perhaps with the same tick.
        """
        highest = -(-self._size // len(self._cohorts))
        for cohort in cohorts:
            while len(cohort) > highest:
                smallest = min((one for one in self._cohorts if one not in waiting), key=len)
                if len(smallest) >= highest:
                    break
                cohort.move_newest(smallest)

    def owners_of(self, write: Write) -> list[Viewer]:
        """Return the viewers that have this writer."""
        return [viewer for cohort in self._cohorts for viewer in cohort.owners_of(write)]
