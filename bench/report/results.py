"""The results of a run: its settings and measurements, their medians, and the rows of the tables."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from bench.report.tables import Rows
from bench.report.targets import (
    CPU_800,
    CPU_WITHOUT_VIEWERS,
    DELIVERED_400,
    MEMORY,
    STALLED_DELIVERED,
    STALLED_DISCONNECTED,
    STORM_CONNECTED,
    STORM_GAP,
    TARGETS,
    Verdict,
    judge,
)
from bench.subjects.catalogue import TITLES
from bench.trial.measurement import Measurement
from bench.trial.scenarios import CLIENTS, SCENARIOS, STALLED_CLIENTS

HEADINGS: Final = (
    "subject",
    "scenario",
    "CPU µs per frame",
    "times the floor",
    "CPU of a core",
    "delivered, worst client",
    "late p50 ms",
    "late p99 ms",
    "largest gap ms",
    "101 p99 ms",
    "all connected s",
    "memory MiB",
    "remark",
)
TARGET_HEADINGS: Final = ("what", "target", "measured", "verdict")
SUMMARY_HEADINGS: Final = ("what", "measured")

Value = Callable[[Measurement], float | None]


@dataclass(slots=True)
class Results:
    """The results of one run of the benchmark. `left_out` says which subjects could not run, and what they lack."""

    machine: dict[str, str | int]
    seconds: float
    repetitions: int
    left_out: dict[str, str]
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on each target."""
        return judge(TARGETS, self.measurements)

    def as_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the results that `as_json` wrote."""
        members: dict[str, Any] = json.loads(text)
        return cls(**members | {"measurements": [Measurement.from_json(one) for one in members["measurements"]]})

    def median(self, subject: str, scenario: str, value: Value) -> float | None:
        """Return the median of the valid repetitions; None if there is none."""
        return median(
            value(one)
            for one in self.measurements
            if (one.subject, one.scenario) == (subject, scenario) and not one.invalid
        )


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are not None; None if there are none."""
    present = [value for value in values if value is not None]
    return statistics.median(present) if present else None


def formatted(value: float | None, form: str) -> str:
    """Return a value as text; a dash for None."""
    return "-" if value is None else form.format(value)


def cpu_us(one: Measurement) -> float | None:
    """Return the CPU time per frame, in microseconds; None without frames."""
    return one.cpu_us_per_frame if one.window.frames else None


def by_scenario(measurements: Iterable[Measurement]) -> dict[tuple[str, str], list[Measurement]]:
    """Return the repetitions of each subject and scenario, in the order of the report."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for one in measurements:
        found.setdefault((one.subject, one.scenario), []).append(one)
    subjects, scenarios = list(TITLES), list(SCENARIOS)
    return dict(sorted(found.items(), key=lambda item: (subjects.index(item[0][0]), scenarios.index(item[0][1]))))


def cpu_times_floor(ones: Iterable[Measurement], floor: Iterable[Measurement]) -> float | None:
    """Return the median of the ratios of CPU per frame, each to the floor's of the same repetition."""
    floors = {one.repetition: cpu_us(one) for one in floor}
    ratios = [(cpu_us(one), floors.get(one.repetition)) for one in ones]
    return median(own / least for own, least in ratios if own and least)


def measurement_rows(measurements: Iterable[Measurement]) -> Rows:
    """Return a row under `HEADINGS` for each subject and scenario: medians of the repetitions."""
    found = by_scenario(measurements)
    return [
        _measurement_row(subject, scenario, ones, found.get(("floor", scenario), []))
        for (subject, scenario), ones in found.items()
    ]


def _measurement_row(
    subject: str, scenario: str, ones: Sequence[Measurement], floor: Sequence[Measurement]
) -> Sequence[str]:
    streaming = [one for one in ones if one.window.clients]
    connects = [one.connect for one in ones if one.connect is not None]
    # In a connection storm, most of the CPU time goes into handshakes.
    costs = [] if scenario == "storm" else ones
    return [
        TITLES[subject],
        scenario,
        formatted(median(cpu_us(one) for one in costs), "{:.1f}"),
        formatted(cpu_times_floor(costs, floor), "{:.2f}"),
        formatted(median(one.cpu_share for one in ones), "{:.0%}"),
        formatted(median(one.worst_share for one in streaming), "{:.2%}"),
        formatted(median(one.window.late_p50_ms for one in streaming), "{:.1f}"),
        formatted(median(one.window.late_p99_ms for one in streaming), "{:.1f}"),
        formatted(median(one.window.largest_gap_ms for one in streaming), "{:.0f}"),
        formatted(median(one.handshake_p99_ms for one in connects), "{:.0f}"),
        formatted(median(one.seconds for one in connects), "{:.2f}"),
        formatted(median(one.memory_bytes / (1 << 20) for one in ones), "{:.0f}"),
        next((text for one in ones if (text := one.invalid or one.errors)), ones[0].remark),
    ]


def target_rows(verdicts: Iterable[Verdict]) -> Rows:
    """Return a row under `TARGET_HEADINGS` for each target."""
    return [
        [one.what, one.target, one.measured or "-", one.verdict + (f": {one.reason}" if one.reason else "")]
        for one in verdicts
    ]


def summary_rows(results: Results) -> Rows:
    """Return a row under `SUMMARY_HEADINGS` for each of the most important figures."""
    figures = {one.what: one.measured or "-" for one in results.verdicts}

    def lateness(subject: str) -> str:
        p50_ms = formatted(results.median(subject, "400", lambda one: one.window.late_p50_ms), "{:.1f}")
        p99_ms = formatted(results.median(subject, "400", lambda one: one.window.late_p99_ms), "{:.1f}")
        return f"p50 {p50_ms} ms, p99 {p99_ms} ms"

    cost = formatted(results.median("worker", "800", cpu_us), "{:.1f} µs")
    connected, gap = figures[STORM_CONNECTED], figures[STORM_GAP]
    disconnected, delivered = figures[STALLED_DISCONNECTED], figures[STALLED_DELIVERED]
    return [
        ["CPU per delivered frame, 800 clients", f"{cost}: {figures[CPU_800]} (a bare loop of `send`)"],
        ["delivered to the worst of 400 clients", figures[DELIVERED_400]],
        ["lateness, 400 clients", f"{lateness('worker')} (Bun: {lateness('bun')})"],
        ["400 clients connect while 400 stream", f"all connected after {connected}; gap of the others at most {gap}"],
        [
            f"{STALLED_CLIENTS} of {CLIENTS} clients stop reading",
            f"disconnected after {disconnected}; the worst of the others received {delivered}",
        ],
        ["memory per connection", figures[MEMORY]],
        ["CPU without viewers", figures[CPU_WITHOUT_VIEWERS]],
    ]


def one_line(one: Measurement) -> str:
    """Return a measurement in one line, for the progress on the terminal."""
    words = [one.scenario, f"{one.cpu_share:.0%} of a core"]
    if one.window.clients:
        words += [
            formatted(cpu_us(one), "{:.1f} µs per frame"),
            f"worst client {one.worst_share:.1%}",
            f"late {formatted(one.window.late_p50_ms, '{:.1f}')}/{formatted(one.window.late_p99_ms, '{:.1f}')} ms",
            f"gap {one.window.largest_gap_ms:.0f} ms",
            f"load generator {one.window.cpu_share:.0%}",
        ]
    if one.connect is not None:
        words.append(f"{one.connect.connected} connected within {one.connect.seconds:.2f} s")
    return ", ".join([*words, *(text for text in (one.remark, one.invalid, one.errors) if text)])
