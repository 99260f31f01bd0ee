"""The fan-out: writes frames to viewers, one cohort after the other.

The latest tick wins: a cohort gets the newest tick there is when its turn comes, and the one that has waited longest
comes first. So a worker that cannot keep up sends fewer frames, and sends them in time; and no viewer starves. All
viewers of a cohort get the same tick. A viewer whose socket is full misses the frame. There is no queue and no
backpressure.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Final

from clock.asgi import Viewer, Write
from clock.broadcast.spread import TICKS_PER_SECOND, Due, Spread
from clock.contract import AUTO, AUTO_RATES, DEFAULT_REQUEST, StreamRequest, Tick
from clock.process.histogram import Histogram

# After this time the fan-out yields to the event loop, for handshakes, pongs and HTTP requests.
SLICE_S: Final = 0.005

# A cohort that takes longer than this is abandoned: the process was suspended meanwhile, and the frame is old.
STALE_AFTER_S: Final = 0.5


@dataclass(slots=True)
class Counts:
    """Totals since the start. Frames that were written without trouble are not counted: that would cost time."""

    rounds: int = 0  # ticks that were written to viewers
    conflated: int = 0  # ticks that arrived too early: the frames of a whole tick, or more, still had to be written
    due: int = 0  # frames that were due to viewers
    refused: int = 0  # due frames that were dropped because the socket was full
    partial: int = 0  # due frames that the socket took in part; the viewer sent the rest
    failed: int = 0  # due frames that were lost because the connection was broken
    writing_s: float = 0.0  # processor time spent on writing


class FanOut:
    """Writes the newest tick to the viewers that are due."""

    def __init__(
        self, *, now: Callable[[], float] = time.perf_counter, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        self._now = now
        self._cpu = cpu
        self._spreads: dict[StreamRequest, Spread] = {}  # only those with viewers
        self._auto_rate = AUTO_RATES[0]
        self._newest: Tick | None = None
        self._newest_frame: bytes | None = None  # of the newest tick, once it is needed
        self._waiting: list[Due] = []  # for the newest tick, the one that has waited longest first
        self._current: Due | None = None  # what is being written to,
        self._frame = b""  # with this,
        self._batches: Iterator[list[Write]] = iter(())  # and the rest of it
        self._batch: list[Write] = []  # the batch that is being written
        self._started_at = 0.0  # with the current cohorts
        self._sent_at = 0.0  # when the newest tick arrived
        self._is_scheduled = False
        self.counts = Counts()
        # Of each tick with viewers, from its arrival here to its last frame; or to the next tick, if that comes first.
        self.durations = Histogram()

    def __len__(self) -> int:
        return sum(map(len, self._spreads.values()))

    def viewers(self) -> dict[StreamRequest, int]:
        """Return the number of viewers of each request that has any."""
        return {request: len(spread) for request, spread in self._spreads.items()}

    def frames_per_second(self, auto_rate: int) -> int:
        """Return the number of frames that are due in a second if `auto_rate` is chosen for `rate=auto`."""
        return sum(
            len(spread) * (auto_rate if request.rate == AUTO else spread.rate)
            for request, spread in self._spreads.items()
        )

    @property
    def auto_rate(self) -> int:
        """The frames per second of viewers that requested `rate=auto`, one of the contract's `AUTO_RATES`."""
        return self._auto_rate

    @auto_rate.setter
    def auto_rate(self, rate: int) -> None:
        self._auto_rate = rate
        for request, spread in self._spreads.items():
            if request.rate == AUTO:
                spread.rate = rate

    def join(self, viewer: Viewer, request: StreamRequest = DEFAULT_REQUEST) -> None:
        """Start writing to a viewer what it requested."""
        if request not in self._spreads:
            self._spreads[request] = Spread.of(request, self._auto_rate)
        self._spreads[request].join(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Stop writing to a viewer. Nothing happens if it is not here."""
        for request, spread in self._spreads.items():
            if spread.leave(viewer):
                if not len(spread):
                    del self._spreads[request]
                return

    def send(self, tick: Tick) -> None:
        """Write a tick to the viewers that are due: now, or when the current ones are done."""
        if self._waiting and sum(map(len, self._waiting)) * TICKS_PER_SECOND >= self.frames_per_second(self._auto_rate):
            self.counts.conflated += 1
        now = self._now()
        if self._is_scheduled:
            self.durations.record(now - self._sent_at)
        self._sent_at = now
        self._newest, self._newest_frame = tick, None
        due = chain.from_iterable(spread.due(tick.at) for spread in self._spreads.values())
        self._waiting = sorted(due, key=attrgetter("since"))
        if not self._is_scheduled:
            self._write_slice()

    def skip_batch(self) -> None:
        """Skip the rest of the current batch, so that its age is checked at once.

        For the handler of SIGCONT: the process was stopped, perhaps in the middle of a batch, and continues now.
        """
        self._batch.clear()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._write_slice)

    def _write_slice(self) -> None:
        """Write to the current cohorts, and to those that wait, for about `SLICE_S`."""
        self._is_scheduled = False
        now, cpu = self._now(), self._cpu()
        if now - self._started_at > STALE_AFTER_S:
            self._batches = iter(())
        while (self._current or self._begin_next()) and self._write_until(now + SLICE_S):
            self._end_current()
        self.counts.writing_s += self._cpu() - cpu
        if self._current or self._waiting:
            self._schedule()
        elif self._started_at >= self._sent_at:
            self.durations.record(self._now() - self._sent_at)

    def _begin_next(self) -> bool:
        """Begin with the cohorts that have waited longest. Return whether there are any."""
        self._waiting = [due for due in self._waiting if len(due)]  # of the others, all viewers have left
        if not self._waiting or self._newest is None:
            return False
        if self._newest_frame is None:
            self._newest_frame = self._newest.to_wire()
            self.counts.rounds += 1
        self._current, self._frame, self._started_at = self._waiting.pop(0), self._newest_frame, self._now()
        self.counts.due += len(self._current)
        first = self.counts.rounds  # each tick starts at another viewer, so that none is always last
        cohorts = deque(self._current.cohorts)
        cohorts.rotate(first)
        for cohort in cohorts:
            cohort.begin(self._newest.at)
        self._batches = chain.from_iterable(cohort.batches(first) for cohort in cohorts)
        return True

    def _end_current(self) -> None:
        if self._current is not None:
            waiting = [cohort for due in self._waiting for cohort in due.cohorts]
            self._current.spread.level(self._current.cohorts, waiting)
        self._current = None

    def _write_until(self, end: float) -> bool:
        """Write the frame to the current cohorts until the time `end`. Return whether it has been written to all."""
        frame = self._frame
        length = len(frame)
        for batch in self._batches:
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
                return False
        return True

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
        return [viewer for spread in self._spreads.values() for viewer in spread.owners_of(write)]
