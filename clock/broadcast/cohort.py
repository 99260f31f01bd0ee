"""The cohort: viewers that receive the same ticks.

A frame costs little more than the kernel needs for one `send`: the fan-out calls the `send` methods of the sockets
themselves, which it takes from a list. While a viewer must not be written to, its entry in that list is `DISCARD`.
"""

from collections.abc import Iterator
from typing import Final

from clock.asgi import DISCARD, Viewer, Write
from clock.contract import TICK_MS

# Viewers between two reads of the clock, about half a millisecond of writing. It makes the cost of reading negligible.
BATCH_SIZE: Final = 64


class Cohort:
    """Viewers that receive one tick of each period: the first one, or the one that is `phase` ticks after it."""

    def __init__(self, phase: int = 0) -> None:
        self._writers: list[Write] = []  # iterated up to 100 times a second
        self._viewers: list[Viewer | None] = []  # the owner of each writer, or None once it has left
        self._indexes: dict[Viewer, int] = {}
        self._phase_ms = phase * TICK_MS
        self._last_at: int | None = None  # the last that was written

    def __len__(self) -> int:
        return len(self._indexes)

    def join(self, viewer: Viewer) -> None:
        """Add a viewer."""
        self._indexes[viewer] = len(self._writers)
        self._writers.append(DISCARD)
        self._viewers.append(viewer)
        viewer.bind_writer(self.set_writer)

    def leave(self, viewer: Viewer) -> bool:
        """Remove a viewer, and return True; or return False if it is not here."""
        index = self._indexes.pop(viewer, None)
        if index is None:
            return False
        self._writers[index] = DISCARD
        self._viewers[index] = None
        return True

    def move_newest(self, target: "Cohort") -> None:
        """Move the newest viewer to another cohort. There must be one.

        Only between two rounds, after its own frame: then its next frame is at most one period away.
        """
        viewer = next(reversed(self._indexes))
        self.leave(viewer)
        target.join(viewer)

    def set_writer(self, viewer: Viewer, write: Write) -> None:
        """Set the function that writes a viewer's frames. It applies at once, also to the current round."""
        index = self._indexes.get(viewer)
        if index is not None:
            self._writers[index] = write

    def due_since(self, at: int, period_ms: int) -> int | None:
        """Return the tick from which on this cohort is due for the tick of `at` or a newer one; None if it is not due.

        It is due from the first tick of each of its periods until it is written to. The period may change from tick to
        tick. It is due at once if it is new, and if the ticker's clock was set back.
        """
        if self._last_at is None or at < self._last_at:
            self._last_at = at - period_ms
        next_at = (self._last_at - self._phase_ms) // period_ms * period_ms + self._phase_ms + period_ms
        return next_at if at >= next_at else None

    def begin(self, at: int) -> None:
        """Note that the tick of `at` is going to be written."""
        self._last_at = at

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
