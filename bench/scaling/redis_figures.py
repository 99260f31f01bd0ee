"""What Redis takes to pass ticks on: the figures of a measurement, which are kept in docs/redis.json."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

TICKS_PER_S: Final = 100

# The load of a Redis that is planned for. It has one thread for everything, so with this load the last worker gets a
# tick 5 ms after the first.
PLANNED_LOAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """So many subscribers, all at the master or evenly at its replicas: the CPU time of a tick, in microseconds.

    `replica_us` is that of one replica.
    """

    subscribers: int
    replicas: int
    master_us: float
    replica_us: float | None


@dataclass(frozen=True, slots=True)
class RedisFigures:
    """All figures.

    `message_bytes` is what one tick is on a subscriber's connection. `base_load` is the load by a ticker alone, and
    `comparison_us` the CPU time for a client that asks for the time. `added_p50_ms` and `added_p99_ms` are how much
    later a message arrives from a replica than from its master.
    """

    machine: dict[str, str | int]
    runs: list[Run]
    message_bytes: int
    base_load: float
    comparison_us: float
    added_p50_ms: float
    added_p99_ms: float

    def as_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the figures that `as_json` wrote."""
        members: dict[str, Any] = json.loads(text)
        return cls(**members | {"runs": [Run(**one) for one in members["runs"]]})

    @property
    def publish_us(self) -> float:
        """The CPU time of a tick without subscribers."""
        return next(run.master_us for run in self.runs if not run.subscribers and not run.replicas)

    @property
    def delivery_s(self) -> float:
        """The CPU time of a tick for one subscriber: from the run with the most of them at the master."""
        run = max((run for run in self.runs if not run.replicas), key=lambda one: one.subscribers)
        return (run.master_us - self.publish_us) / 1e6 / run.subscribers

    @property
    def comparison_s(self) -> float:
        """The CPU time that a worker which compares clocks takes in a second."""
        return self.comparison_us / 1e6

    @property
    def feed_s(self) -> float:
        """The CPU time that a replica takes of its master in a second: from the run with the most replicas."""
        run = max(self.runs, key=lambda one: one.replicas)
        return TICKS_PER_S * (run.master_us - self.publish_us) / 1e6 / run.replicas

    @property
    def workers_of_master(self) -> int:
        """How many workers a single Redis feeds, which also compare their clocks with it."""
        return int((PLANNED_LOAD - self.base_load) / (TICKS_PER_S * self.delivery_s + self.comparison_s))

    @property
    def workers_of_replica(self) -> int:
        """How many workers a replica feeds, which compare their clocks with the master."""
        return int((PLANNED_LOAD - self.base_load) / (TICKS_PER_S * self.delivery_s))

    def replicas_for(self, workers: int) -> int:
        """Return how many replicas so many workers need; 0 if the master itself can feed them."""
        return 0 if workers <= self.workers_of_master else -(-workers // self.workers_of_replica)

    def load_of_master(self, workers: int) -> float:
        """Return the load of the master of these workers, with the replicas that they need."""
        replicas = self.replicas_for(workers)
        fed = replicas * self.feed_s if replicas else workers * TICKS_PER_S * self.delivery_s
        return self.base_load + fed + workers * self.comparison_s
