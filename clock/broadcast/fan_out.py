"""The fan-out: writes one frame to every viewer, in rounds.

The latest tick wins. A round finishes before the next one starts, so that no viewer starves. Of the ticks that arrive
during a round, only the newest is kept. A viewer whose socket is full misses the frame. There is no queue and no
backpressure.

A frame costs little more than the kernel needs for one `send`: the loop calls the `send` methods of the sockets
themselves, which it takes from a list. While a viewer must not be written to, its entry in that list is `DISCARD`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from clock.asgi import DISCARD, Viewer, Write
from clock.contract import Tick

# After this time a round yields to the event loop, for handshakes, pongs and HTTP requests.
SLICE_S: Final = 0.004

# Viewers between two reads of the clock, about half a millisecond of writing. It makes the cost of reading negligible.
BATCH_SIZE: Final = 64

# A round that is older than this is abandoned: the process was suspended meanwhile, and the frame is old.
STALE_AFTER_S: Final = 0.5


class Cohort:
    """The viewers of one rate. They receive the first tick of each period."""

    def __init__(self, rate: int) -> None:
        self._writers: list[Write] = []  # iterated 100 times a second
        self._viewers: list[Viewer | None] = []  # the owner of each writer, or None once it has left
        self._indexes: dict[Viewer, int] = {}
        self._period_ms = 1000 // rate
        self._period = -1

    def __len__(self) -> int:
        return len(self._indexes)

    def join(self, viewer: Viewer) -> None:
        """Add a viewer."""
        self._indexes[viewer] = len(self._writers)
        self._writers.append(DISCARD)
        self._viewers.append(viewer)
        viewer.bind_writer(self.set_writer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer. Nothing happens if it is not here."""
        index = self._indexes.pop(viewer, None)
        if index is not None:
            self._writers[index] = DISCARD
            self._viewers[index] = None

    def set_writer(self, viewer: Viewer, write: Write) -> None:
        """Set the function that writes a viewer's frames. It applies at once, also to the current round."""
        index = self._indexes.get(viewer)
        if index is not None:
            self._writers[index] = write

    def is_due(self, at: int) -> bool:
        """Return whether the tick of `at` is the first of its period that this cohort sees."""
        previous, self._period = self._period, at // self._period_ms
        return self._period != previous

    def batches(self, first: int) -> Iterator[list[Write]]:
        """Yield the writers in batches, starting at index `first` modulo their number."""
        if len(self._indexes) != len(self._writers):
            self._compact()
        writers, count = self._writers, len(self._writers)
        first %= count or 1
        for start, end in ((first, count), (0, first)):
            for index in range(start, end, BATCH_SIZE):
                yield writers[index : min(index + BATCH_SIZE, end)]

    def _compact(self) -> None:
        """Remove the entries of viewers that have left."""
        kept = [(viewer, write) for viewer, write in zip(self._viewers, self._writers, strict=True) if viewer]
        self._viewers = [viewer for viewer, _ in kept]
        self._writers = [write for _, write in kept]
        self._indexes = {viewer: index for index, (viewer, _) in enumerate(kept)}

    def owners_of(self, write: Write) -> list[Viewer]:
        """Return the viewers that have this writer."""
        return [viewer for viewer, one in zip(self._viewers, self._writers, strict=True) if one is write and viewer]


@dataclass(slots=True)
class Counts:
    """Totals since the start. Frames that were written without trouble are not counted: that would cost time."""

    rounds: int = 0  # ticks that were written to viewers
    due: int = 0  # frames that were due to viewers
    refused: int = 0  # due frames that were dropped because the socket was full
    partial: int = 0  # due frames that the socket took in part; the viewer sent the rest
    failed: int = 0  # due frames that were lost because the connection was broken


class FanOut:
    """Writes the newest tick to the viewers."""

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._cohorts: dict[int, Cohort] = {}  # by rate; only those with viewers
        self._newest: Tick | None = None  # the tick of the next round
        self._is_scheduled = False
        self._frame = b""
        self._batches: Iterator[list[Write]] | None = None  # the rest of the current round
        self._batch: list[Write] = []  # the batch that is being written
        self._round_started_at = 0.0
        self.counts = Counts()

    def __len__(self) -> int:
        return sum(map(len, self._cohorts.values()))

    def viewers_by_rate(self) -> dict[int, int]:
        """Return the number of viewers of each rate that has any."""
        return {rate: len(cohort) for rate, cohort in self._cohorts.items()}

    def join(self, viewer: Viewer, rate: int) -> None:
        """Start writing `rate` frames per second to a viewer. `rate` is one of the contract's `RATES`."""
        if rate not in self._cohorts:
            self._cohorts[rate] = Cohort(rate)
        self._cohorts[rate].join(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Stop writing to a viewer. Nothing happens if it is not here."""
        for rate, cohort in list(self._cohorts.items()):
            cohort.leave(viewer)
            if not len(cohort):
                del self._cohorts[rate]

    def send(self, tick: Tick) -> None:
        """Write a tick to the viewers that are due: now, or after the current round unless a newer tick arrives."""
        self._newest = tick
        if not self._is_scheduled:
            self._write_slice()

    def skip_batch(self) -> None:
        """Skip the rest of the current batch, so that the age of the round is checked at once.

        For the handler of SIGCONT: the process was stopped, perhaps in the middle of a batch, and continues now.
        """
        self._batch.clear()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._write_slice)

    def _write_slice(self) -> None:
        """Continue the current round, or start the next one, for about `SLICE_S`."""
        self._is_scheduled = False
        now = self._now()
        if self._batches is None:
            self._batches = self._start_round()
            self._round_started_at = now
        elif now - self._round_started_at > STALE_AFTER_S:
            self._batches = iter(())
        end = now + SLICE_S
        frame, batches = self._frame, self._batches
        length = len(frame)
        for batch in batches:
            self._batch = batch
            for write in batch:
                try:
                    written = write(frame)
                except OSError as error:
                    self._on_error(write, error)
                else:
                    if written != length:
                        self._on_partial_write(write, frame[written:])
            if self._now() >= end:
                self._schedule()
                return
        self._batches = None
        if self._newest is not None:
            self._schedule()

    def _start_round(self) -> Iterator[list[Write]]:
        """Return the writers of the newest tick. Each round starts at another viewer, so that none is always last."""
        tick, self._newest = self._newest, None
        if tick is None:
            return iter(())
        due = [cohort for cohort in self._cohorts.values() if cohort.is_due(tick.at)]
        if not due:
            return iter(())
        self.counts.rounds += 1
        self.counts.due += sum(map(len, due))
        self._frame = tick.to_wire()
        first = self.counts.rounds % len(due)
        return chain.from_iterable(cohort.batches(self.counts.rounds) for cohort in due[first:] + due[:first])

    def _on_error(self, write: Write, error: OSError) -> None:
        if isinstance(error, BlockingIOError):  # not a failure: the socket is full, and the viewer misses the frame
            self.counts.refused += 1
            return
        self.counts.failed += 1
        for viewer in self._owners_of(write):
            viewer.fail(error)

    def _on_partial_write(self, write: Write, rest: bytes) -> None:
        self.counts.partial += 1
        for viewer in self._owners_of(write):
            viewer.send_rest(rest)

    def _owners_of(self, write: Write) -> list[Viewer]:
        """Return the viewers that have this writer: none if they have just left. Slow, and rarely needed."""
        return [viewer for cohort in self._cohorts.values() for viewer in cohort.owners_of(write)]
