"""Twisted's reactor on uvloop and the monotonic clock, with a repair for connections that a client resets.

Twisted's own timers follow the wall clock. If that is set forward by an hour, all timers that are due within the hour
fire at once: idle connections and unfinished handshakes are disconnected. If it is set back, timers stand still for an
hour, and so does everything that Daphne checks once a second.

uvloop stops watching a descriptor when the kernel reports an error on it, as it does for a connection that the client
has reset. It closes its poll handle after one last read or write, and reports nothing. If that read still found data,
Twisted would wait for the error forever, and the descriptor would stay open. So this reactor checks each descriptor
that had an event in the next iteration of the loop, and watches it again if uvloop has closed its handle. The socket
itself then reports the error.

A crowd that connects, or loads pages, can have thousands of descriptors ready at once, and the ticks of all others
would wait until all are served. So the reactor handles events for `EVENTS_SLICE_S` seconds in one iteration of the
loop. Those that are left wait in a queue, and are not watched meanwhile: the kernel would report them again in each
iteration. A descriptor whose `is_prompt` is true need not wait, such as that of a viewer, whose pong is due.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import uvloop
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor
from twisted.internet.tcp import Port

# Seconds for which events are handled in one iteration of the loop.
EVENTS_SLICE_S: Final = 0.003

# Connections that a port accepts at once: a millisecond or two. Twisted's own limit rises with each burst.
MAX_ACCEPTS: Final = 16


class MonotonicReactor(AsyncioSelectorReactor):
    """A reactor whose timers follow the monotonic clock, as those of its event loop do."""

    seconds: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, loop: Any) -> None:
        self._had_events: set[Any] = set()  # since the loop's last iteration
        self._is_check_due = False
        self._slice_ends_at = 0.0
        self._deferred: deque[tuple[Any, bool]] = deque()  # events that wait: descriptors, and whether they are read
        super().__init__(loop)

    def addReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        """Watch a descriptor for input."""
        try:
            super().addReader(reader)
        except RuntimeError:
            self._watch_again(reader)
            super().addReader(reader)

    def addWriter(self, writer: Any) -> None:  # noqa: N802 - Twisted's name
        """Watch a descriptor for room to write."""
        try:
            super().addWriter(writer)
        except RuntimeError:
            self._watch_again(writer)
            super().addWriter(writer)

    def _readOrWrite(self, selectable: Any, read: bool) -> None:  # noqa: FBT001, N802 - Twisted's name
        now = time.monotonic()
        if not self._is_check_due:
            self._is_check_due = True
            self._asyncioEventloop.call_soon(self._check_watched)
            self._slice_ends_at = now + EVENTS_SLICE_S
        if (self._deferred or now >= self._slice_ends_at) and not getattr(selectable, "is_prompt", False):
            self._defer(selectable, read)
        else:
            self._handle(selectable, read)

    def _handle(self, selectable: Any, read: bool) -> None:  # noqa: FBT001 - as Twisted's
        self._had_events.add(selectable)
        if isinstance(selectable, Port):
            selectable.numberAccepts = min(selectable.numberAccepts, MAX_ACCEPTS)
        super()._readOrWrite(selectable, read)

    def _defer(self, selectable: Any, read: bool) -> None:  # noqa: FBT001 - as Twisted's
        if read:
            self._asyncioEventloop.remove_reader(selectable.fileno())
        else:
            self._asyncioEventloop.remove_writer(selectable.fileno())
        if not self._deferred:
            self._asyncioEventloop.call_soon(self._handle_deferred)
        self._deferred.append((selectable, read))

    def _handle_deferred(self) -> None:
        """Handle events that have waited, in their order, and watch their descriptors again."""
        end = time.monotonic() + EVENTS_SLICE_S
        while self._deferred and time.monotonic() < end:
            selectable, read = self._deferred.popleft()
            if selectable in (self._readers if read else self._writers):
                self._handle(selectable, read)
        self._check_watched()
        if self._deferred:
            self._asyncioEventloop.call_soon(self._handle_deferred)

    def _check_watched(self) -> None:
        self._is_check_due = False
        had_events, self._had_events = self._had_events, set()
        for selectable in had_events:
            try:
                self._watch(selectable)
            except RuntimeError:
                self._watch_again(selectable)

    def _watch(self, selectable: Any) -> None:
        """Register a watched descriptor with the event loop once more.

        Raises:
            RuntimeError: uvloop has closed the poll handle.
        """
        # Twisted itself would register a function that first sets up a context for its log.
        if selectable in self._readers:
            self._asyncioEventloop.add_reader(self._readers[selectable], self._readOrWrite, selectable, True)
        if selectable in self._writers:
            self._asyncioEventloop.add_writer(self._writers[selectable], self._readOrWrite, selectable, False)

    def _watch_again(self, selectable: Any) -> None:
        """Have the event loop forget the closed poll handle, and open another."""
        fd = selectable.fileno()
        if fd == -1:
            return
        self._asyncioEventloop.remove_reader(fd)
        self._asyncioEventloop.remove_writer(fd)
        reads, writes = self._readers.pop(selectable, None), self._writers.pop(selectable, None)
        if reads is not None:
            super().addReader(selectable)
        if writes is not None:
            super().addWriter(selectable)


def current_reactor() -> Any:
    """Return the reactor that is installed. Importing it installs Twisted's default, so not before it is needed."""
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


def install() -> None:
    """Make Twisted, and so Daphne, use this reactor. Call it before anything imports `twisted.internet.reactor`."""
    # uvloop handles a tick in 0.1 ms less than asyncio's own loop.
    installReactor(MonotonicReactor(uvloop.new_event_loop()))
