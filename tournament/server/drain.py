"""The drain: how a worker that was told to stop lets go of its viewers.

At first it goes on as before, and says only that it is not ready, until every load balancer has noticed. Then it takes
no more connections. Then it sends its viewers away, one after the other, so that the other workers have time to take
them in; each gets its ticks until then.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

logger = logging.getLogger(__name__)

# Seconds between two looks at the time, and so until it is noticed that somebody is in a hurry.
TURN: Final = 0.05

# Seconds over which viewers are sent away in a hurry.
HURRIED_SPREAD: Final = 0.5

# Seconds that viewers are given to close their end, and requests to be answered. A client that does not answer the
# close frame is cut off after one.
PATIENCE: Final = 2.0


class Viewer(Protocol):
    """Who is sent away."""

    def send_away(self) -> None:
        """Close the connection, so that the client connects again elsewhere; nothing happens if it is closing."""


class Worker(Protocol):
    """What is drained."""

    def stop_listening(self) -> None:
        """Take no more connections."""

    def viewers(self) -> Sequence[Viewer]:
        """Return those who are there, and have not been sent away."""

    def is_idle(self) -> bool:
        """Return whether no connection is open, and no request is under way."""


class Drain:
    """Empties a worker, once: `notice` seconds for load balancers, `spread` seconds for viewers, and `PATIENCE`."""

    def __init__(
        self,
        worker: Worker,
        notice: float,
        spread: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._worker = worker
        self._notice = notice
        self._spread = spread
        self._now = now
        self._sleep = sleep
        self._is_hurried = False
        self._end = now()  # of the phase under way
        self._hurried_phase = 0.0  # how long it lasts at most, from when somebody is in a hurry

    def hurry(self) -> None:
        """Give no more notice, and send the viewers away over `HURRIED_SPREAD` seconds, or those who are left."""
        self._is_hurried = True
        self._end = min(self._end, self._now() + self._hurried_phase)

    async def run(self) -> None:
        """Drain."""
        self._begin_phase(self._notice, 0.0)
        await self._wait()
        self._worker.stop_listening()
        self._begin_phase(self._spread, HURRIED_SPREAD)
        await self._send_away(list(self._worker.viewers()))
        self._begin_phase(PATIENCE, PATIENCE)
        while self._now() < self._end and not self._worker.is_idle():
            for viewer in self._worker.viewers():  # they came meanwhile, on connections that were open already
                _send_away(viewer)
            await self._sleep(TURN)

    async def _send_away(self, viewers: list[Viewer]) -> None:
        while viewers:
            _send_away(viewers.pop())
            await self._sleep(0)  # so that the others get their ticks, however late it is
            if viewers:
                await self._wait(len(viewers) + 1)

    def _begin_phase(self, seconds: float, hurried: float) -> None:
        self._hurried_phase = hurried
        self._end = self._now() + (min(seconds, hurried) if self._is_hurried else seconds)

    async def _wait(self, parts: int = 1) -> None:
        """Wait for one of so many equal parts of what is left of the phase, which may be cut short meanwhile."""
        began = self._now()
        while (left := began + (self._end - began) / parts - self._now()) > 0:
            await self._sleep(min(left, TURN))


def _send_away(viewer: Viewer) -> None:
    try:
        viewer.send_away()
    except Exception:  # one must not keep the others
        logger.exception("a viewer could not be sent away")
