"""The model: what viewers cost a worker, and how many a worker serves, from the measured costs of the parts.

    load = ticks + viewers * viewer + pages * probes + frames per second * frame

A load of 1.0 is one core. A worker predicts its own load in the same way, from the time that its frames take
(clock/broadcast/load.py), so the loads at which it refuses viewers or changes their rate are those of its rate control.
"""

from dataclasses import dataclass
from typing import Final, Self

from bench.scaling.points import FULL_RATE, IDLE, PAGES, PROXY, Measured, Refusal
from clock.broadcast.rate_control import BUSY_FROM, FULL_FROM, OVERBOOKING, ROOM, TARGET
from clock.contract import AUTO_RATES

# The load that a worker is planned for. It leaves a third of a core for handshakes, page loads and the viewers of a
# host that was lost.
PLANNED_LOAD: Final = TARGET

# When the present worker refuses newcomers.
PRESENT: Final = Refusal(BUSY_FROM, FULL_FROM, OVERBOOKING)

LOWEST_RATE: Final = AUTO_RATES[-1]

# The pause between two probes of a page that knows its drift, as in the benchmark (s).
PROBE_INTERVAL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU time in seconds, and memory per page.

    `ticks` is for a second of ticks in one worker, `viewer` for one viewer in a second apart from its frames: ping and
    pong, and that frames are more expensive in a larger crowd. `proxied_frame` is what a proxy adds to a frame, and
    `request` is any other than a handshake, such as a probe.
    """

    ticks: float
    viewer: float
    frame: float
    proxied_frame: float
    handshake: float
    request: float
    memory_bytes: float

    @property
    def probes(self) -> float:
        """The probes of a page in a second."""
        return self.request / PROBE_INTERVAL_S

    @classmethod
    def of(cls, measured: Measured) -> Self:
        """Return the costs with which the model goes exactly through its calibration points."""
        idle, few, many = (measured.point(name) for name in (IDLE, FULL_RATE, PAGES))
        ticks, request = idle.load, measured.requests.cpu_s
        load = few.load - ticks
        more_load = many.load - ticks - many.viewers * request / PROBE_INTERVAL_S
        # Two equations, load = viewers * viewer + frames * frame.
        viewer = (more_load * few.frames - load * many.frames) / (many.viewers * few.frames - few.viewers * many.frames)
        viewer = max(0.0, viewer)  # it is negative if the machine was faster while it had many viewers
        frame = (load - few.viewers * viewer) / few.frames
        proxied = measured.point(PROXY)
        without_proxy = proxied.crowd.workers * ticks + proxied.viewers * viewer + proxied.frames * frame
        return cls(
            ticks=ticks,
            viewer=viewer,
            frame=frame,
            proxied_frame=(proxied.load - without_proxy) / proxied.frames,
            handshake=measured.handshakes.cpu_s,
            request=request,
            memory_bytes=measured.memory_bytes,
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A worker with these costs."""

    costs: Costs

    def load(
        self, viewers: float, frames: float, *, workers: int = 1, has_probes: bool = False, is_proxied: bool = False
    ) -> float:
        """Return the load of workers on one core whose viewers receive so many frames per second altogether.

        It may exceed 1.0: then the core cannot do it.
        """
        costs = self.costs
        viewer = costs.viewer + (costs.probes if has_probes else 0.0)
        frame = costs.frame + (costs.proxied_frame if is_proxied else 0.0)
        return workers * costs.ticks + viewers * viewer + frames * frame

    def pages_at(self, rate: int, load: float = PLANNED_LOAD) -> int:
        """Return how many pages that receive `rate` frames per second put so much load on a worker."""
        return int((load - self.costs.ticks) / (self.costs.viewer + self.costs.probes + rate * self.costs.frame))

    def pages_at_auto(self, rate: int) -> int:
        """Return up to how many pages a worker raises the rate to this one, or keeps the lowest with room to spare."""
        return self.pages_at(rate, TARGET if rate == LOWEST_RATE else ROOM)

    def auto_rate(self, viewers: int) -> int:
        """Return the rate that a worker chooses for viewers at auto in the end, if it had a lower one before."""
        fitting = (rate for rate in AUTO_RATES if self.load(viewers, viewers * rate) <= ROOM)
        return next(fitting, LOWEST_RATE)

    def admitted(
        self,
        rate: int | None = None,
        *,
        beside: int = 0,
        beside_rate: int = 0,
        refuses_from: Refusal = PRESENT,
    ) -> int:
        """Return how many viewers a worker admits, beside others: with a rate of their own, or at auto (None).

        The others have a rate of their own. Of loads, the worker refuses high rates from the first on, and all from the
        second.
        """
        busy_from, full_from, overbooking = refuses_from
        limit = full_from if rate is None or rate <= LOWEST_RATE else busy_from
        if rate is None:
            rate = LOWEST_RATE
        else:
            limit *= overbooking
        room = limit - self.load(beside, beside * beside_rate)
        return max(0, int(room / (self.costs.viewer + rate * self.costs.frame)))
