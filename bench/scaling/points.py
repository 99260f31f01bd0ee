"""The measured points of the benchmark that the model is calibrated on, and those that it is checked against.

They come from docs/bench.json, which `make bench` writes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.report.results import Results, Row
from bench.scenarios.catalogue import SCENARIOS
from bench.scenarios.page_loads import PAGES as LOADED_PAGES
from bench.scenarios.processes import PROCESSES, VIEWERS_EACH, WORKERS
from bench.scenarios.storms import ARRIVING, OVERLOAD_BEFORE
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER

HAPROXY_HTTP, HAPROXY_TCP = "haproxy-http", "haproxy-tcp"

# Scenarios that the model is calibrated on: their names in the catalogue.
IDLE, FULL_RATE, PAGES, PROXY = CALIBRATION = ("idle", "800", "9000 auto", "HAProxy http")
STORM, OVERLOAD, PAGE_LOADS, TWO_WORKERS = "storm", "overload", "page loads", "two workers"

TITLES: Final = {scenario.name: scenario.title for scenario in SCENARIOS}


class NotMeasured(RuntimeError):
    """The results lack what the model needs. The text says what."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Viewers that connected to some workers of one core. `rate` is what they requested; None is `auto`."""

    scenario: str
    side: str
    viewers: int
    rate: int | None = None
    workers: int = 1
    is_proxied: bool = False

    @property
    def has_probes(self) -> bool:
        """Whether the viewers are pages, which send probes."""
        return self.scenario == PAGES


CROWDS: Final = (
    Crowd(IDLE, WORKER, 0, 100),
    Crowd(FULL_RATE, WORKER, 800, 100),
    Crowd(PAGES, WORKER, 9_000),
    Crowd("400 auto", WORKER, 400),
    Crowd("1600", WORKER, 1_600, 100),
    Crowd("2400", WORKER, 2_400, 100),
    Crowd("2000 auto", WORKER, 2_000),
    Crowd("5000 auto", WORKER, 5_000),
    Crowd(TWO_WORKERS, WORKER, VIEWERS_EACH, 100),
    Crowd(TWO_WORKERS, PROCESSES, WORKERS * VIEWERS_EACH, 100, WORKERS),
    Crowd("no proxy", PROCESSES, VIEWERS_EACH, 100, WORKERS),
    Crowd(PROXY, HAPROXY_HTTP, VIEWERS_EACH, 100, WORKERS, is_proxied=True),
    Crowd("HAProxy tcp", HAPROXY_TCP, VIEWERS_EACH, 100, WORKERS, is_proxied=True),
)


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured of a crowd.

    So many viewers were admitted, all of them together received so many frames per second, and the load of the core is
    1.0 if that is all of it.
    """

    crowd: Crowd
    viewers: int
    frames: float
    load: float

    @property
    def title(self) -> str:
        """The scenario, and the subject if two of them are compared with the model."""
        subject = f": {SUBJECTS[self.crowd.side].title}" if self.crowd.scenario == TWO_WORKERS else ""
        return TITLES[self.crowd.scenario] + subject

    @property
    def is_calibration(self) -> bool:
        """Whether the model is calibrated on this point, so that it says nothing about the model."""
        return self.crowd.scenario in CALIBRATION


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What was measured while so many viewers connected, or requests arrived: in how many seconds, and the load."""

    count: int
    seconds: float
    load: float

    @property
    def cpu_s(self) -> float:
        """The CPU time of one. It includes that of the frames that were sent meanwhile."""
        return self.load * self.seconds / self.count


@dataclass(frozen=True, slots=True)
class Overload:
    """How many viewers a worker had at 100 frames per second, how many more it admitted at auto, and refused."""

    before: int
    admitted: int
    refused: int


class Refusal(NamedTuple):
    """The loads from which on a worker refuses newcomers that request much, and all of them.

    Without viewers at auto they are `overbooking` times as high.
    """

    busy_from: float
    full_from: float
    overbooking: float = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """All measured points. `memory_bytes` is what a page takes in the worker's process.

    `refuses_from` is None if the results do not say when the worker refused viewers.
    """

    points: list[Point]
    handshakes: Arrivals
    requests: Arrivals
    overload: Overload
    memory_bytes: float
    refuses_from: Refusal | None

    @classmethod
    def of(cls, results: Results) -> "Measured":
        """Return the points in the results of the benchmark.

        Raises:
            NotMeasured: a scenario is missing.
        """
        rows = {(row.scenario, row.side): row for row in results.rows}
        storm, arrival = _row(rows, STORM, WORKER), _row(rows, OVERLOAD, "arrival")
        pages, idle, loads = (_row(rows, name, WORKER) for name in (PAGES, IDLE, PAGE_LOADS))
        files = LOADED_PAGES * round(_remarked(loads, r"files ([\d.]+)"))
        return cls(
            points=[_point(crowd, _row(rows, crowd.scenario, crowd.side)) for crowd in CROWDS],
            handshakes=Arrivals(ARRIVING, _remarked(storm, r"connected after ([\d.]+) s"), _load(storm)),
            requests=Arrivals(files, _remarked(loads, r"seconds ([\d.]+)"), _load(loads)),
            overload=Overload(
                OVERLOAD_BEFORE,
                round(_remarked(arrival, r"admitted ([\d.]+)")),
                round(_remarked(arrival, r"refused ([\d.]+)")),
            ),
            memory_bytes=(1 << 20) * ((pages.memory_mib or 0.0) - (idle.memory_mib or 0.0)) / 9_000,
            refuses_from=Refusal(*results.refuses_from) if results.refuses_from else None,
        )

    def point(self, scenario: str) -> Point:
        """Return the first point of a scenario."""
        return next(point for point in self.points if point.crowd.scenario == scenario)


def _row(rows: Mapping[tuple[str, str], Row], scenario: str, side: str) -> Row:
    row = rows.get((TITLES[scenario], side))
    if row is None:
        raise NotMeasured(f"{TITLES[scenario]} ({side})")
    return row


def _load(row: Row) -> float:
    if row.core_percent is None:
        raise NotMeasured(f"the load in {row.scenario} ({row.side})")
    return row.core_percent / 100


def _point(crowd: Crowd, row: Row) -> Point:
    """Return a point. The frames per second follow from the load and from the CPU time per frame."""
    load = _load(row)
    if not crowd.viewers:
        return Point(crowd, 0, 0.0, load)
    if not row.cpu_us:
        raise NotMeasured(f"the CPU time per frame in {row.scenario} ({row.side})")
    missing = re.search(r"(\d+) viewers missing", row.remark)
    return Point(crowd, crowd.viewers - int(missing[1] if missing else 0), load * 1e6 / row.cpu_us, load)


def _remarked(row: Row, pattern: str) -> float:
    found = re.search(pattern, row.remark)
    if found is None:
        raise NotMeasured(f"{pattern.partition(' (')[0]!r} in {row.scenario} ({row.side})")
    return float(found[1])
