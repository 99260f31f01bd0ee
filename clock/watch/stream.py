"""The stream of one viewer: it receives frames, and reconnects as docs/protocol.md says."""

import asyncio
import json
import random
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from clock import __version__
from clock.contract import MAX_AT_MS, MAX_FRAME_LENGTH, MIN_AT_MS
from clock.process.backoff import Backoff
from clock.watch.failure import Failure, Kind, close_code, failure_from
from clock.watch.journal import Journal, milliseconds
from clock.watch.probe import monotonic_ms
from clock.watch.statistics import Statistics, Viewer
from clock.watch.target import Target
from clock.watch.timeline import Timeline

# Seconds to wait for a handshake, and for the next frame of an open connection.
OPEN_TIMEOUT_S: Final = 10.0
SILENT_AFTER_S: Final = 5.0

# Frames flow for so long before the pause is the first one again. Else a viewer would reconnect without a pause to a
# worker that disconnects everybody after the first frame.
PROVEN_AFTER_MS: Final = 5_000.0

# The pauses before the next connection, in seconds. Each is drawn from its upper half.
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
_PAUSES_S: Final = {Kind.GOING_AWAY: 0.25, Kind.FULL: 10.0, Kind.SILENT: 2.0}

# Before its first frame a viewer is sent to another worker (4012) at most so often.
MAX_DETOURS: Final = 20

# Frames that wait in this program until it reads no more from the socket. A worker sends 100 per second.
MAX_QUEUED_FRAMES: Final = 1_000
MAX_MESSAGE_BYTES: Final = 65_536

# After these no other attempt succeeds.
_FINAL: Final = frozenset({Kind.BROKEN_CONTRACT, Kind.NOT_A_CLOCK})


class Socket(Protocol):
    """An open WebSocket."""

    async def recv(self) -> str | bytes:
        """Return the next message, or raise ConnectionClosed."""


Open = Callable[[], AbstractAsyncContextManager[Socket]]


def opener(target: Target, origin: str, tls: ssl.SSLContext | None) -> Open:
    """Return a function that opens the stream of a clock, without a proxy for this machine's own traffic."""
    options: dict[str, Any] = {"ssl": tls} if target.is_secure else {}
    return lambda: connect(
        target.stream_url,
        origin=Origin(origin),
        compression=None,
        user_agent_header=f"clock-watch/{__version__}",
        proxy=None,
        open_timeout=OPEN_TIMEOUT_S,
        ping_interval=None,  # the worker's pings are enough
        close_timeout=1,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=MAX_QUEUED_FRAMES,
        **options,
    )


class Shared(NamedTuple):
    """What all streams share. `gate` limits how many handshakes are under way at the same time.

    Without `keeps_trying`, a failure before a viewer's first frame is final.
    """

    open_socket: Open
    address: str  # for messages
    statistics: Statistics
    timeline: Timeline
    journal: Journal
    gate: asyncio.Semaphore
    keeps_trying: bool = False


class Stream:
    """The stream of one viewer. `now` is this machine's monotonic clock, in milliseconds."""

    def __init__(self, viewer: Viewer, shared: Shared, now: Callable[[], float] = monotonic_ms) -> None:
        self._viewer = viewer
        self._shared = shared
        self._now = now
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._detours = 0

    async def run(self) -> NoReturn:
        """Receive frames, and reconnect, until cancelled.

        Raises:
            Failure: it has never received a frame, or must not try again.
        """
        while True:
            try:
                await self._follow()
            except Exception as error:
                failure = failure_from(error, self._shared.address)
                if failure is None:
                    raise
                self._record(failure, error)
                pause_s = self._pause_after(failure)
                if pause_s is None:
                    raise failure from error
            await asyncio.sleep(pause_s)

    async def _follow(self) -> NoReturn:
        """Receive the frames of one connection, until an error ends it."""
        async with self._shared.gate:
            opening = self._shared.open_socket()
            socket = await opening.__aenter__()
        self._viewer.connections += 1
        self._viewer.is_connected = True
        try:
            await self._receive(socket)
        finally:
            self._viewer.is_connected = False
            await opening.__aexit__(None, None, None)

    async def _receive(self, socket: Socket) -> NoReturn:
        loop, last_at, first = asyncio.get_running_loop(), -1, self._now()
        try:
            async with asyncio.timeout(SILENT_AFTER_S) as timer:
                while True:
                    at, message = parse_frame(await socket.recv())
                    arrived = self._now()
                    if at <= last_at:
                        self._shared.timeline.clock_was_set()
                    elif last_at < 0:
                        self._record_first_frame(arrived)
                    last_at = at
                    lateness = self._shared.timeline.add_frame(arrived, at)
                    self._shared.statistics.add_frame(self._viewer, arrived, at, message, lateness)
                    deadline = loop.time() + SILENT_AFTER_S
                    # Not for each of 100 frames a second: that would leave 500 timers to clear away.
                    if deadline - (timer.when() or 0.0) > SILENT_AFTER_S / 10:
                        timer.reschedule(deadline)
                        if arrived - first > PROVEN_AFTER_MS:
                            self._backoff.reset()
        except TimeoutError as error:
            text = f"the stream is open, but no frame arrived within {SILENT_AFTER_S:g} s: see /readyz, and the tickers"
            raise Failure(Kind.SILENT, text) from error

    def _record_first_frame(self, arrived: float) -> None:
        """Note that a new connection delivers frames."""
        if self._viewer.last_ms is not None:
            self._shared.journal.add(f"frames again, after {milliseconds(arrived - self._viewer.last_ms, 0)}")

    def _record(self, failure: Failure, error: Exception) -> None:
        self._viewer.last_failure = failure
        if isinstance(error, ConnectionClosed):
            self._viewer.closes[close_code(error)] += 1
        else:
            self._viewer.failures[failure.kind.label] += 1
        self._shared.journal.add(str(failure))

    def _pause_after(self, failure: Failure) -> float | None:
        """Return the pause before the next attempt, in seconds; None if there must be none."""
        if failure.kind in _FINAL:
            return None
        if (
            self._viewer.first_ms is None and not self._shared.keeps_trying
        ):  # what was never good is reported at once, but for what 4012 asks for
            self._detours += 1
            if failure.kind is not Kind.GOING_AWAY or self._detours > MAX_DETOURS:
                return None
        longest_s = _PAUSES_S.get(failure.kind) or self._backoff.pause()
        return longest_s * random.uniform(0.5, 1)  # noqa: S311 - not a secret


def parse_frame(data: str | bytes) -> tuple[int, str]:
    """Return the time and the text of a frame.

    Raises:
        Failure: it is not a frame of a clock.
    """
    try:
        frame = json.loads(data)
        at, message = frame["at"], frame["message"]
    except (ValueError, KeyError, TypeError):
        at = message = None
    # What it sends is shown on a terminal, so it must not contain escape sequences.
    is_text = type(message) is str and len(message) <= MAX_FRAME_LENGTH and message.isprintable()
    if type(at) is not int or not MIN_AT_MS <= at <= MAX_AT_MS or not is_text:
        raise Failure(Kind.NOT_A_CLOCK, f"the stream is not that of a clock: it sent {data[:60]!r}")
    return at, message
