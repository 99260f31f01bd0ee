"""The fan-out: one frame to every viewer, in rounds.

Only the newest tick counts. A round is finished before the next begins, so that nobody starves; what came meanwhile is
dropped, but for the newest. A viewer that cannot take a frame misses it. There is no queue and no backpressure.

A frame costs what the kernel takes for one `send`, and little more. So the loop calls the sockets' own `send`, out of a
list. While something is in the way of a viewer's frames, its place in that list holds `DISCARD`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from clock.asgi import DISCARD, Viewer, Write
from clock.contract import Tick

# Seconds of a round after which the event loop gets its turn: for handshakes, pongs and pages.
SLICE: Final = 0.004

# Members between two looks at the clock, which then costs them next to nothing: about half a millisecond of writing.
BATCH: Final = 64


# Seconds after which a round is given up: the process stood still meanwhile, and the frame is old.
STALE_AFTER: Final = 0.5


class Cohort:
    """The viewers that asked for one rate. They get the first tick of each of its periods."""

    def __init__(self, rate: int) -> None:
        self._writers: list[Write] = []  # what is walked 100 times a second
        self._viewers: list[Viewer | None] = []  # whose place in `_writers` it is; None where they left
        self._indexes: dict[Viewer, int] = {}
        self._period_ms = 1000 // rate
        self._period = -1

    def __len__(self) -> int:
        return len(self._indexes)

    def join(self, viewer: Viewer) -> None:
        """Give a viewer a place."""
        self._indexes[viewer] = len(self._writers)
        self._writers.append(DISCARD)
        self._viewers.append(viewer)
        viewer.bind_writer(self.set_writer)

    def leave(self, viewer: Viewer) -> None:
        """Take a viewer's place away, if it has one."""
        index = self._indexes.pop(viewer, None)
        if index is not None:
            self._writers[index] = DISCARD
            self._viewers[index] = None

    def set_writer(self, viewer: Viewer, write: Write) -> None:
        """Write a viewer's frames by this function from now on, also in the round under way."""
        index = self._indexes.get(viewer)
        if index is not None:
            self._writers[index] = write

    def is_due(self, at: int) -> bool:
        """Return whether the tick of `at` is the first that this cohort sees of its period."""
        before, self._period = self._period, at // self._period_ms
        return self._period != before

    def batches(self, first: int) -> Iterator[list[Write]]:
        """Yield by what to write each viewer's frame, from the first, second or whichever place on."""
        if len(self._indexes) != len(self._writers):
            self._close_ranks()
        writers, count = self._writers, len(self._writers)
        first %= count or 1
        for start, end in ((first, count), (0, first)):
            for index in range(start, end, BATCH):
                yield writers[index : min(index + BATCH, end)]

    def _close_ranks(self) -> None:
        kept = [(viewer, write) for viewer, write in zip(self._viewers, self._writers, strict=True) if viewer]
        self._viewers = [viewer for viewer, _ in kept]
        self._writers = [write for _, write in kept]
        self._indexes = {viewer: index for index, (viewer, _) in enumerate(kept)}

    def viewers_of(self, write: Write) -> list[Viewer]:
        """Return whose function this is."""
        return [viewer for viewer, one in zip(self._viewers, self._writers, strict=True) if one is write and viewer]


@dataclass(slots=True)
class Counts:
    """What has happened since the start. Nothing is counted for a frame that is written well: that would cost."""

    rounds: int = 0  # ticks that were written to viewers
    due: int = 0  # frames that viewers were to get
    refused: int = 0  # of these: the socket had no room
    cut: int = 0  # the socket took a part; the rest followed
    failed: int = 0  # the connection was broken


class FanOut:
    """Writes the newest tick to the viewers."""

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._cohorts: dict[int, Cohort] = {}  # by their rate; those that have viewers
        self._newest: Tick | None = None  # the tick of the next round, if there is to be one
        self._scheduled = False
        self._frame = b""
        self._rest: Iterator[list[Write]] | None = None  # who has not had the frame of the round under way yet
        self._batch: list[Write] = []  # of these, who is being written to
        self._began = 0.0
        self.counts = Counts()

    def __len__(self) -> int:
        return sum(map(len, self._cohorts.values()))

    def viewers_by_rate(self) -> dict[int, int]:
        """Return how many viewers there are of each rate that has any."""
        return {rate: len(cohort) for rate, cohort in self._cohorts.items()}

    def join(self, viewer: Viewer, rate: int) -> None:
        """Let a viewer have `rate` frames a second, one of the contract's `RATES`."""
        if rate not in self._cohorts:
            self._cohorts[rate] = Cohort(rate)
        self._cohorts[rate].join(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Let a viewer have no more frames; nothing happens if it had none."""
        for rate, cohort in list(self._cohorts.items()):
            cohort.leave(viewer)
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
        for viewer in self._viewers_of(write):
            viewer.fail(error)

    def _finish(self, write: Write, rest: bytes) -> None:
        self.counts.cut += 1
        for viewer in self._viewers_of(write):
            viewer.send_rest(rest)

    def _viewers_of(self, write: Write) -> list[Viewer]:
        """Return whose function this is: nobody's, if they have just left. Slow, and seldom needed."""
        return [viewer for cohort in self._cohorts.values() for viewer in cohort.viewers_of(write)]
