"""The fan-out: one frame to every member, in rounds.

Only the newest tick counts. A round is finished before the next begins, so that nobody starves; what came meanwhile is
dropped, but for the newest. A member that cannot take a frame misses it. There is no queue and no backpressure.

A frame costs what the kernel takes for one `send`, and little more. So the loop calls the sockets' own `send`, out of a
list. While something is in the way of a member's frames, its place in that list holds `NOWHERE`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol

from clock.contract import Tick

# How a frame is written: returns how many bytes were taken, and raises OSError where none could be. Never waits.
Write = Callable[[bytes], int]

# Takes every frame whole, and that is the end of it.
NOWHERE: Final[Write] = len

# The ASGI extension by which a server offers a `Member`: `scope["extensions"][DIRECT_WRITE]["member"]`.
DIRECT_WRITE: Final = "tournament.direct_write"

# Seconds of a round after which the event loop gets its turn: for handshakes, pongs and pages.
SLICE: Final = 0.004

# Members between two looks at the clock, which then costs them next to nothing: about half a millisecond of writing.
BATCH: Final = 64


# Seconds after which a round is given up: the process stood still meanwhile, and the frame is old.
STALE_AFTER: Final = 0.5


class Member(Protocol):
    """Who gets frames."""

    def take_place(self, place: Callable[["Member", Write], None]) -> None:
        """Say `place(self, write)`: now, and whenever frames are to be written by another function."""

    def finish(self, rest: bytes) -> None:
        """Send the rest of a frame that was taken in part, before anything else."""

    def fail(self, error: OSError) -> None:
        """Know that the connection is broken."""


class Cohort:
    """The members that asked for one rate. They get the first tick of each of its periods."""

    def __init__(self, rate: int) -> None:
        self._writes: list[Write] = []  # what is walked 100 times a second
        self._members: list[Member | None] = []  # whose place in `_writes` it is; None where they left
        self._places: dict[Member, int] = {}
        self._period_ms = 1000 // rate
        self._period = -1

    def __len__(self) -> int:
        return len(self._places)

    def join(self, member: Member) -> None:
        """Give a member a place."""
        self._places[member] = len(self._writes)
        self._writes.append(NOWHERE)
        self._members.append(member)
        member.take_place(self.place)

    def leave(self, member: Member) -> None:
        """Take a member's place away, if it has one."""
        place = self._places.pop(member, None)
        if place is not None:
            self._writes[place] = NOWHERE
            self._members[place] = None

    def place(self, member: Member, write: Write) -> None:
        """Write a member's frames by this function from now on, also in the round under way."""
        place = self._places.get(member)
        if place is not None:
            self._writes[place] = write

    def is_due(self, at: int) -> bool:
        """Return whether the tick of `at` is the first that this cohort sees of its period."""
        before, self._period = self._period, at // self._period_ms
        return self._period != before

    def batches(self, first: int) -> Iterator[list[Write]]:
        """Yield by what to write each member's frame, from the first, second or whichever place on."""
        if len(self._places) != len(self._writes):
            self._close_ranks()
        writes, count = self._writes, len(self._writes)
        first %= count or 1
        for start, end in ((first, count), (0, first)):
            for place in range(start, end, BATCH):
                yield writes[place : min(place + BATCH, end)]

    def _close_ranks(self) -> None:
        kept = [(member, write) for member, write in zip(self._members, self._writes, strict=True) if member]
        self._members = [member for member, _ in kept]
        self._writes = [write for _, write in kept]
        self._places = {member: place for place, (member, _) in enumerate(kept)}

    def members_of(self, write: Write) -> list[Member]:
        """Return whose function this is."""
        return [member for member, one in zip(self._members, self._writes, strict=True) if one is write and member]


@dataclass(slots=True)
class Counts:
    """What has happened since the start. Nothing is counted for a frame that is written well: that would cost."""

    rounds: int = 0  # ticks that were written to members
    due: int = 0  # frames that members were to get
    refused: int = 0  # of these: the socket had no room
    cut: int = 0  # the socket took a part; the rest followed
    failed: int = 0  # the connection was broken


class FanOut:
    """Writes the newest tick to the members."""

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._cohorts: dict[int, Cohort] = {}  # by their rate; those that have members
        self._newest: Tick | None = None  # the tick of the next round, if there is to be one
        self._scheduled = False
        self._frame = b""
        self._rest: Iterator[list[Write]] | None = None  # who has not had the frame of the round under way yet
        self._batch: list[Write] = []  # of these, who is being written to
        self._began = 0.0
        self.counts = Counts()

    def __len__(self) -> int:
        return sum(map(len, self._cohorts.values()))

    def members_by_rate(self) -> dict[int, int]:
        """Return how many members there are of each rate that has any."""
        return {rate: len(cohort) for rate, cohort in self._cohorts.items()}

    def join(self, member: Member, rate: int) -> None:
        """Let a member have `rate` frames a second, one of the contract's `RATES`."""
        if rate not in self._cohorts:
            self._cohorts[rate] = Cohort(rate)
        self._cohorts[rate].join(member)

    def leave(self, member: Member) -> None:
        """Let a member have no more frames; nothing happens if it had none."""
        for rate, cohort in list(self._cohorts.items()):
            cohort.leave(member)
            if not len(cohort):
                del self._cohorts[rate]

    def send(self, tick: Tick) -> None:
        """Write a tick to whom it is due: now, or when the round under way is finished, unless a newer one comes."""
        self._newest = tick
        if not self._scheduled:
            self._run()

    def look_up(self) -> None:
        """Leave the batch and look at the time. For a signal handler: the process was stopped, and now goes on."""
        self._batch.clear()

    def _go_on_later(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """Go on with the round under way, or begin the next; for about `SLICE` seconds."""
        self._scheduled = False
        now = self._now()
        if self._rest is None:
            self._rest = self._begin()
            self._began = now
        elif now - self._began > STALE_AFTER:
            self._rest = iter(())
        end = now + SLICE
        frame, rest = self._frame, self._rest
        whole = len(frame)
        for batch in rest:
            self._batch = batch
            for write in batch:
                try:
                    sent = write(frame)
                except OSError as error:
                    self._fail(write, error)
                else:
                    if sent != whole:
                        self._finish(write, frame[sent:])
            if self._now() >= end:
                self._go_on_later()
                return
        self._rest = None
        if self._newest is not None:
            self._go_on_later()

    def _begin(self) -> Iterator[list[Write]]:
        """Return by what to write the newest tick: from another place on each time, so that nobody is always last."""
        tick, self._newest = self._newest, None
        if tick is None:
            return iter(())
        due = [cohort for cohort in self._cohorts.values() if cohort.is_due(tick.at)]
        if not due:
            return iter(())
        self.counts.rounds += 1
        self.counts.due += sum(map(len, due))
        self._frame = tick.wire()
        first = self.counts.rounds % len(due)
        return chain.from_iterable(cohort.batches(self.counts.rounds) for cohort in due[first:] + due[:first])

    def _fail(self, write: Write, error: OSError) -> None:
        if isinstance(error, BlockingIOError):  # that is no failure: the client has no room, and misses the frame
            self.counts.refused += 1
            return
        self.counts.failed += 1
        for member in self._members_of(write):
            member.fail(error)

    def _finish(self, write: Write, rest: bytes) -> None:
        self.counts.cut += 1
        for member in self._members_of(write):
            member.finish(rest)

    def _members_of(self, write: Write) -> list[Member]:
        """Return whose function this is: nobody's, if they have just left. Slow, and seldom needed."""
        return [member for cohort in self._cohorts.values() for member in cohort.members_of(write)]
