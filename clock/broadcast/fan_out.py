"""The fan-out: writes one frame to every viewer, in rounds.

The latest tick wins. A round finishes before the next one starts, so that no viewer starves. Of the ticks that arrive
during a round, only the newest is kept. A viewer whose socket is full misses the frame. There is no queue and no
backpressure.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from clock.asgi import Viewer, Write
from clock.broadcast.spread import Spread
from clock.contract import AUTO, AUTO_RATES, DEFAULT_REQUEST, StreamRequest, Tick

# After this time a round yields to the event loop, for handshakes, pongs and HTTP requests.
SLICE_S: Final = 0.004

# A round that is older than this is abandoned: the process was suspended meanwhile, and the frame is old.
STALE_AFTER_S: Final = 0.5


@dataclass(slots=True)
class Counts:
    """Totals since the start. Frames that were written without trouble are not counted: that would cost time."""

    rounds: int = 0  # ticks that were written to viewers
    conflated: int = 0  # ticks that a newer one replaced before their round could start, also in the relay
    due: int = 0  # frames that were due to viewers
    refused: int = 0  # due frames that were dropped because the socket was full
    partial: int = 0  # due frames that the socket took in part; the viewer sent the rest
    failed: int = 0  # due frames that were lost because the connection was broken
    writing_s: float = 0.0  # seconds spent in rounds


class FanOut:
    """Writes the newest tick to the viewers."""

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spreads: dict[StreamRequest, Spread] = {}  # only those with viewers
        self._auto_rate = AUTO_RATES[0]
        self._newest: Tick | None = None  # the tick of the next round
        self._is_scheduled = False
        self._frame = b""
        self._batches: Iterator[list[Write]] | None = None  # the rest of the current round
        self._batch: list[Write] = []  # the batch that is being written
        self._round_started_at = 0.0
        self.counts = Counts()

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
        """Write a tick to the viewers that are due: now, or after the current round unless a newer tick arrives."""
        if self._newest is not None:
            self.counts.conflated += 1
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
        if self._write_until(end, self._batches):
            self._batches = None
            for spread in self._spreads.values():
                spread.level()
        self.counts.writing_s += self._now() - now
        if self._batches is not None or self._newest is not None:
            self._schedule()

    def _write_until(self, end: float, batches: Iterator[list[Write]]) -> bool:
        """Write the frame to the batches until the time `end`. Return whether none is left."""
        frame = self._frame
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
                return False
        return True

    def _start_round(self) -> Iterator[list[Write]]:
        """Return the writers of the newest tick. Each round starts at another viewer, so that none is always last."""
        tick, self._newest = self._newest, None
        if tick is None:
            return iter(())
        due = [cohort for spread in self._spreads.values() for cohort in spread.due(tick.at)]
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
        return [viewer for spread in self._spreads.values() for viewer in spread.owners_of(write)]
