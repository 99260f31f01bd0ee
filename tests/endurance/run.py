"""A run of the endurance test: a leader, a standby and a worker under load, and samples of what they use."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from redis import Redis

from testbed import accounting
from testbed.accounting import open_files, resident_mib
from testbed.processes import Broker, Ticker, Worker
from tests.endurance.growth import CountLimit, MemoryLimit, Sample, Verdict, judge_count, judge_memory
from tests.endurance.load import CHURN, Load

# The time between two samples. A run of less than 20 minutes has as many samples as one of 20.
SAMPLE_INTERVAL_S: Final = 10.0
SAMPLES: Final = 120

# The first minutes are not judged, as everything grows to its size then; of a run of less than 20 minutes, a quarter.
WARM_UP_MINUTES: Final = 5.0

# A worker frees a connection within 2 s of its end.
ENDING: Final = 2 * CHURN


class Figure(NamedTuple):
    """What is sampled, and its limit."""

    name: str
    limit: MemoryLimit | CountLimit


MEMORY: Final = MemoryLimit(slope_mib_per_h=6, rise_mib=16)
FEW: Final = CountLimit(drift=1, maximum=4)  # while one connection replaces another
CONNECTIONS: Final = CountLimit(drift=5, maximum=ENDING)

# Counts are less those at the start, and less the connected viewers.
FIGURES: Final = (
    Figure("worker: private memory, MiB", MEMORY),
    Figure("worker: resident memory, MiB", MEMORY),
    Figure("worker: descriptors", CONNECTIONS),
    Figure("worker: tasks", CONNECTIONS),
    Figure("leader: private memory, MiB", MEMORY),
    Figure("leader: descriptors", FEW),
    Figure("standby: private memory, MiB", MEMORY),
    Figure("standby: descriptors", FEW),
    Figure("Redis clients", FEW),
)


class Run:
    """A clock under load. `run` takes the samples, `verdicts` judges them, `failures` has what else went wrong."""

    def __init__(self, directory: Path) -> None:
        self.samples: list[tuple[float, list[float]]] = []  # seconds since the start, and a value for each figure
        self._failures: list[str] = []
        self._broker = Broker(directory)
        self._leader = Ticker(self._broker.url, directory)
        self._standby = Ticker(self._broker.url, directory)
        self._worker = Worker(self._broker.url, directory)
        self._worker.command[-1] = "testbed.faults.census:application"

    def run(self, minutes: float, report: Callable[[str], None]) -> None:
        """Run under load for so many minutes; `report` gets a line for each sample."""
        with self._broker, self._leader:
            self._leader.wait_until_leader()
            with self._standby, self._worker:
                self._standby.wait_until_standby()
                self._worker.wait_for_ticks()
                with self._redis() as redis:
                    load = Load(self._worker.port, redis)
                    try:
                        self._sample_under(load, minutes, report)
                    finally:
                        load.close()
                    self._failures = list(self._find_failures(load))

    def _sample_under(self, load: Load, minutes: float, report: Callable[[str], None]) -> None:
        for _ in range(3):
            self._worker.get("/clock/")
        idle = self._count(load)
        interval = min(SAMPLE_INTERVAL_S, minutes * 60 / SAMPLES)
        begin = time.monotonic()
        due = begin + interval
        while (now := time.monotonic()) < begin + minutes * 60:
            load.poll()
            if now >= due:
                due += interval
                counted = self._count(load)
                values = [
                    value if isinstance(figure.limit, MemoryLimit) else value - at_first
                    for figure, value, at_first in zip(FIGURES, counted, idle, strict=True)
                ]
                self.samples.append((now - begin, values))
                values_text = ", ".join(
                    f"{figure.name} {value:.6g}" for figure, value in zip(FIGURES, values, strict=True)
                )
                report(f"{load.attack.live()} viewers, {load.pages} pages, {load.messages} messages; {values_text}")

    def _count(self, load: Load) -> list[float]:
        """Return the value of each figure, in the order of `FIGURES`, without the viewers' connections."""
        # Without collecting garbage first, as in a real worker.
        tasks = json.loads(self._worker.get("/census?as-it-is")[1])["tasks"]
        viewers = load.attack.live()
        worker, leader, standby = self._worker.pid, self._leader.pid, self._standby.pid
        with self._redis() as redis:
            clients = len(redis.client_list())
        return [
            private_mib(worker),
            resident_mib(worker),
            open_files(worker) - viewers,
            tasks - viewers,
            private_mib(leader),
            open_files(leader),
            private_mib(standby),
            open_files(standby),
            clients,
        ]

    def _redis(self) -> Redis:
        return Redis(port=self._broker.port, socket_timeout=5)

    def _find_failures(self, load: Load) -> Iterator[str]:
        yield from load.attack.failures[:10]
        yield from load.page_failures[:10]
        for program in (self._worker, self._leader, self._standby):
            if not program.running:
                yield f"a program has ended:\n{program.output()}"
            if "Traceback" in program.output():
                yield f"a program printed a traceback:\n{program.output()[:5_000]}"

    def verdicts(self) -> list[tuple[str, Verdict]]:
        """Judge each figure by its samples after the warm-up."""
        begin = self.samples[0][0] + min(60 * WARM_UP_MINUTES, (self.samples[-1][0] - self.samples[0][0]) / 4)
        found = []
        for place, (name, limit) in enumerate(FIGURES):
            samples: list[Sample] = [(moment, values[place]) for moment, values in self.samples if moment >= begin]
            judged = judge_memory(samples, limit) if isinstance(limit, MemoryLimit) else judge_count(samples, limit)
            found.append((name, judged))
        return found

    def failures(self) -> list[str]:
        """Return what went wrong apart from the figures, one line each."""
        return self._failures


def private_mib(pid: int) -> float:
    """Return the private memory of a process, in MiB."""
    return accounting.private_bytes([pid]) / (1 << 20)
