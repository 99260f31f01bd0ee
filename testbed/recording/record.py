"""The record of a run: what was published, and what each client received. All times are of one machine.

Each entry has two times, in nanoseconds of the monotonic clock: `arrived_ns`, when it was read, and `ready_ns`, when
its reader was last ready to read before that. It arrived somewhere between them. Where they are far apart, the reader
was late, and not the clock.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

# From when until when, in nanoseconds of the monotonic clock.
Span = tuple[int, int]

# Moments, each with the seconds for which a process had waited for a processor by then.
Waits = list[tuple[int, float]]


class Published(NamedTuple):
    """A tick, as a raw subscriber received it."""

    term: int
    step: int
    at: int
    ready_ns: int
    arrived_ns: int


class Frame(NamedTuple):
    """A frame, as a client received it."""

    at: int
    ready_ns: int
    arrived_ns: int


@dataclass
class Visit:
    """One connection of a client, from its 101 on."""

    port: int
    opened_ns: int
    frames: list[Frame] = field(default_factory=list)
    closed_ns: int | None = None  # None: it is still open
    close_code: int | None = None  # None: it ended without a close frame

    def largest_gap_ms(self, since_ns: int = 0) -> float:
        """Return the longest time without a frame that ended after a moment."""
        return max((gap_ms for gap_ms, _, end_ns in self.gaps() if end_ns >= since_ns), default=0.0)

    def gaps(self) -> Iterator[tuple[float, int, int]]:
        """Yield each time without a frame: its length in milliseconds, its start and its end."""
        for before, after in pairwise(self.frames):
            yield (after.arrived_ns - before.arrived_ns) / NS_PER_MS, before.arrived_ns, after.arrived_ns


@dataclass
class Record:
    """A run. `wall_offset_ms` is the machine's wall clock minus its monotonic clock."""

    published: list[Published] = field(default_factory=list)
    clients: list[list[Visit]] = field(default_factory=list)
    wall_offset_ms: float = field(default_factory=lambda: time.time() * 1000 - time.monotonic_ns() / NS_PER_MS)
    # The ticker's wall clock minus the machine's, in milliseconds, by the `step` of the ticks.
    ticker_offset_ms: dict[int, int] = field(default_factory=dict)

    def visits(self) -> Iterator[Visit]:
        """Yield every connection of every client."""
        for visits in self.clients:
            yield from visits

    def flowing_after_s(self, moment_ns: int) -> float:
        """Return how long after a moment every client had received a frame; infinity if one never did."""
        latest_s = 0.0
        for visits in self.clients:
            first = (frame.arrived_ns for visit in visits for frame in visit.frames if frame.arrived_ns >= moment_ns)
            latest_s = max(latest_s, (next(first, float("inf")) - moment_ns) / NS_PER_S)
        return latest_s
