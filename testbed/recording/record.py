"""What is written down of a run: what was published, and what each client got. All times are of one machine.

`came` and `looked` are nanoseconds of the monotonic clock: when something was read, and when its reader had last been
ready to read before. So it came in between, and where the two are far apart, it is the reader that was late.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

MS = 1_000_000


class Published(NamedTuple):
    """A tick, as a raw subscriber heard it."""

    term: int
    step: int
    at: int
    looked: int
    came: int


class Frame(NamedTuple):
    """A frame, as a client got it."""

    at: int
    looked: int
    came: int


@dataclass
class Visit:
    """One connection of a client, from the 101 on."""

    port: int
    opened: int
    frames: list[Frame] = field(default_factory=list)
    closed: int | None = None  # when it ended; None while it lasts
    code: int | None = None  # of the close frame; None where there was none

    def largest_gap(self, since: int = 0, until: int | None = None) -> float:
        """Return the longest time without a frame that ended in a span of time, in milliseconds."""
        return max(
            (gap for gap, _, came in self.gaps() if since <= came and (until is None or came <= until)), default=0.0
        )

    def gaps(self) -> Iterator[tuple[float, int, int]]:
        """Yield each time without a frame: milliseconds, and from when until when."""
        for before, after in pairwise(self.frames):
            yield (after.came - before.came) / MS, before.came, after.came


@dataclass
class Record:
    """A run. `wall_offset` is the wall clock less the monotonic one, in milliseconds, on the machine itself."""

    published: list[Published] = field(default_factory=list)
    clients: list[list[Visit]] = field(default_factory=list)
    wall_offset: float = field(default_factory=lambda: time.time() * 1000 - time.monotonic_ns() / MS)
    # By how much the ticker's wall clock was off the machine's, in milliseconds, by the `step` of its ticks.
    clock_set_by: dict[int, int] = field(default_factory=dict)

    def visits(self) -> Iterator[Visit]:
        """Yield every connection of every client."""
        for visits in self.clients:
            yield from visits

    def flowing_since(self, moment: int) -> float:
        """Return after how many seconds every client had had a frame; infinity if one never had."""
        latest = 0.0
        for visits in self.clients:
            first = (frame.came for visit in visits for frame in visit.frames if frame.came >= moment)
            latest = max(latest, (next(first, float("inf")) - moment) / 1e9)
        return latest
