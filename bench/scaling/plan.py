"""The plan: how many workers, hosts and Redis servers, and how much network, a number of viewers needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.report.tables import Rows
from bench.scaling.model import LOWEST_RATE, PLANNED_LOAD, Model
from bench.scaling.redis_figures import TICKS_PER_S, RedisFigures
from clock.contract import AUTO_RATES, DEFAULT_RATE

VIEWERS: Final = (1_000, 100_000, 1_000_000)
CORES_PER_HOST: Final = 8  # a worker on each
MIN_WORKERS: Final = 2  # one may fail

# A frame with the headers of WebSocket, TCP and IP (docs/operations.md).
WIRE_BYTES: Final = 120

PLAN_HEADINGS: Final = (
    "viewers",
    "frames/s",
    "viewers per worker",
    "workers",
    f"hosts of {CORES_PER_HOST} cores, one spare",
    "network to viewers",
    "per host after a loss",
    "packets/s per host",
    "Redis",
    "network from Redis",
)
WORKER_HEADINGS: Final = (
    "frames/s",
    f"pages at a load of {100 * PLANNED_LOAD:.0f} %",
    "pages at auto that get this rate",
    "viewers that request this rate, until newcomers are refused",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many viewers need that each receive `rate` frames per second, so many of them on a worker."""

    viewers: int
    rate: int
    per_worker: int

    @property
    def workers(self) -> int:
        """How many workers, on a core each."""
        return max(MIN_WORKERS, -(-self.viewers // self.per_worker))

    @property
    def hosts(self) -> int:
        """How many hosts, so that the others are enough if one fails."""
        return -(-self.workers // CORES_PER_HOST) + 1

    @property
    def frames(self) -> int:
        """The frames per second of all viewers. Each is a packet."""
        return self.viewers * self.rate

    @property
    def bits(self) -> int:
        """The network to the viewers, in bits per second."""
        return self.frames * WIRE_BYTES * 8


def plans(model: Model) -> Iterator[tuple[str, Plan]]:
    """Yield a plan for each number of viewers and each way to choose the rate, with a name for that."""
    full, lowest = DEFAULT_RATE, LOWEST_RATE
    for viewers in VIEWERS:
        yield str(full), Plan(viewers, full, model.pages_at(full))
        yield f"auto, {full} for all", Plan(viewers, full, model.pages_at_auto(full))
        yield f"auto, {lowest} for all", Plan(viewers, lowest, model.pages_at_auto(lowest))
        yield str(lowest), Plan(viewers, lowest, model.pages_at(lowest))


def plan_rows(model: Model, redis: RedisFigures) -> Rows:
    """Return a row under `PLAN_HEADINGS` for each plan."""
    rows = []
    for name, plan in plans(model):
        replicas = redis.replicas_for(plan.workers)
        rows.append(
            [
                f"{plan.viewers:,}",
                name,
                f"{-(-plan.viewers // plan.workers):,}",
                f"{plan.workers:,}",
                f"{plan.hosts:,}",
                bits(plan.bits),
                bits(plan.bits / (plan.hosts - 1)),
                f"{plan.frames / (plan.hosts - 1):,.0f}",
                f"1 and {replicas} replicas" if replicas else "1",
                bits(plan.workers * redis.message_bytes * TICKS_PER_S * 8),
            ]
        )
    return rows


def worker_rows(model: Model) -> Rows:
    """Return a row under `WORKER_HEADINGS` for each rate."""
    return [
        [
            str(rate),
            f"{model.pages_at(rate):,}",
            f"{model.pages_at_auto(rate):,}",
            f"{model.admitted(rate):,}",
        ]
        for rate in AUTO_RATES
    ]


def bits(per_second: float) -> str:
    """Return a bandwidth as text, in Mbit/s or Gbit/s."""
    if per_second >= 1e9:
        return f"{per_second / 1e9:,.1f} Gbit/s"
    return f"{per_second / 1e6:,.0f} Mbit/s" if per_second >= 1e7 else f"{per_second / 1e6:.1f} Mbit/s"
