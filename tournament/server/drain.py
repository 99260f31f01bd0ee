"""The drain: how a worker that is told to stop sends its viewers away.

At first it continues as before, and only reports that it is not ready, until every load balancer has noticed. Then it
accepts no more connections. Then it closes its viewers one by one, so that the other workers have time to accept them;
each receives its ticks until then.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

logger = logging.getLogger(__name__)

# Seconds between two checks of the time, and so until a hurry takes effect.
CHECK_INTERVAL_S: Final = 0.05

# Seconds over which viewers are sent away in a hurry.
HURRIED_SPREAD_S: Final = 0.5

# Seconds that viewers have to close their end, and requests to be answered. A client that does not answer the close
# frame is disconnected after one.
STRAGGLER_TIMEOUT_S: Final = 2.0


class Viewer(Protocol):
    """A connection that is sent away."""

    def send_away(self) -> None:
        """Close the connection, so that the client reconnects elsewhere. No effect if it is closing."""


class Worker(Protocol):
    """What is drained."""

    def stop_listening(self) -> None:
        """Accept no more connections."""

    def viewers(self) -> Sequence[Viewer]:
        """Return the connections that are open, and have not been sent away."""

    def is_idle(self) -> bool:
        """Return whether no connection is open, and no request is in progress."""


class Drain:
    """Drains a worker, once.

    Its phases are `notice_s` for load balancers, `spread_s` for viewers, and `STRAGGLER_TIMEOUT_S` for stragglers.
    """

    def __init__(
        self,
        worker: Worker,
        notice_s: float,
        spread_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._worker = worker
        self._notice_s = notice_s
        self._spread_s = spread_s
        self._now = now
        self._sleep = sleep
        self._is_hurried = False
        self._end = now()  # of the current phase
        self._hurried_phase_s = 0.0  # how long the current phase lasts at most, from the moment of a hurry

    def set_notice(self, notice_s: float) -> None:
        """Set how long the notice lasts, before the drain begins."""
        self._notice_s = notice_s

    def hurry(self) -> None:
        """End the notice, and send the viewers, or those that are left, away over `HURRIED_SPREAD_S` seconds."""
        self._is_hurried = True
        self._end = min(self._end, self._now() + self._hurried_phase_s)

    async def run(self) -> None:
        """Drain."""
        self._begin_phase(self._notice_s, 0.0)
        await self._wait()
        self._worker.stop_listening()
        self._begin_phase(self._spread_s, HURRIED_SPREAD_S)
        await self._send_away(list(self._worker.viewers()))
        self._begin_phase(STRAGGLER_TIMEOUT_S, STRAGGLER_TIMEOUT_S)
        while self._now() < self._end and not self._worker.is_idle():
            for viewer in self._worker.viewers():  # those that opened meanwhile, on connections from before
                _send_away(viewer)
            await self._sleep(CHECK_INTERVAL_S)

    async def _send_away(self, viewers: list[Viewer]) -> None:
        while viewers:
            _send_away(viewers.pop())
            await self._sleep(0)  # so that the others receive their ticks, even if the drain is behind
            if viewers:
                await self._wait(len(viewers) + 1)

    def _begin_phase(self, phase_s: float, hurried_s: float) -> None:
        self._hurried_phase_s = hurried_s
        self._end = self._now() + (min(phase_s, hurried_s) if self._is_hurried else phase_s)

    async def _wait(self, parts: int = 1) -> None:
        """Wait for one of `parts` equal parts of what is left of the phase, which a hurry may shorten meanwhile."""
        began = self._now()
        while (left_s := began + (self._end - began) / parts - self._now()) > 0:
            await self._sleep(min(left_s, CHECK_INTERVAL_S))


def _send_away(viewer: Viewer) -> None:
    try:
        viewer.send_away()
    except Exception:  # one error must not keep the others
        logger.exception("a viewer could not be sent away")
