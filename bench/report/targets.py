"""The targets: what the worker should achieve, where possible as a ratio to the floor of the same repetition."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.trial.measurement import Measurement
from bench.trial.scenarios import STALLED_CLIENTS, STALLED_LIMIT_S

MET: Final = "pass"
FAIL: Final = "FAIL"
INVALID: Final = "invalid"
SKIPPED: Final = "skipped"

# The targets whose figures are also in the summary.
CPU_800: Final = "CPU per frame, 800 clients"
DELIVERED_400: Final = "delivered to the worst of 400 clients"
STORM_CONNECTED: Final = "connection storm: all 400 new clients connected after"
STORM_GAP: Final = "connection storm: largest gap of the other 400"
STALLED_DELIVERED: Final = "stalled viewers: delivered to the worst of the others"
STALLED_DISCONNECTED: Final = (
    f"stalled viewers: all {STALLED_CLIENTS} disconnected after (measured for {STALLED_LIMIT_S:.0f} s)"
)
MEMORY: Final = "memory per connection, from 100 to 800 clients"
CPU_WITHOUT_VIEWERS: Final = "CPU without viewers"


class NotMeasuredError(LookupError):
    """A target needs a measurement that does not exist. The text names it."""


class Repetition:
    """The measurements of one repetition, by subject and scenario. `used` are those that were read."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measurements = {(one.subject, one.scenario): one for one in measurements}
        self.used: list[Measurement] = []

    def __call__(self, subject: str, scenario: str) -> Measurement:
        """Return one measurement.

        Raises:
            NotMeasuredError: it does not exist.
        """
        found = self._measurements.get((subject, scenario))
        if found is None:
            raise NotMeasuredError(f"not measured: {subject} at {scenario}")
        self.used.append(found)
        return found


@dataclass(frozen=True, slots=True)
class Target:
    """One target: a figure of one repetition, and the limit for the median of the repetitions.

    `form` formats the figure and the limit; `{}` stands for the value. The limit is a maximum unless `at_least`.
    """

    what: str
    figure: Callable[[Repetition], float]
    limit: float
    form: str
    at_least: bool = False

    @property
    def text(self) -> str:
        """The limit as text."""
        return f"at {'least' if self.at_least else 'most'} {self.form.format(self.limit)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a target. `reason` says why the figure alone does not decide it."""

    what: str
    target: str
    measured: str
    verdict: str
    reason: str = ""


def judge(targets: Iterable[Target], measurements: Iterable[Measurement]) -> list[Verdict]:
    """Judge every target by the median of the repetitions."""
    by_repetition: dict[int, list[Measurement]] = {}
    for one in measurements:
        by_repetition.setdefault(one.repetition, []).append(one)
    return [_judge(target, [Repetition(ones) for ones in by_repetition.values()]) for target in targets]


def _judge(target: Target, repetitions: Sequence[Repetition]) -> Verdict:
    try:
        values = [target.figure(one) for one in repetitions]
    except NotMeasuredError as error:
        return Verdict(target.what, target.text, "", SKIPPED, str(error))
    if not values:
        return Verdict(target.what, target.text, "", SKIPPED, "nothing was measured")
    median = statistics.median(values)
    measured = target.form.format(median)
    used = [measurement for one in repetitions for measurement in one.used]
    worker_errors = _first(one.errors for one in used if one.subject == "worker")
    # Errors of another subject do not count against the worker, but they make the comparison meaningless.
    invalid = _first(one.invalid for one in used) or _first(one.errors for one in used if one.subject != "worker")
    if worker_errors:
        return Verdict(target.what, target.text, measured, FAIL, worker_errors)
    if invalid or math.isnan(median):
        return Verdict(target.what, target.text, measured, INVALID, invalid or "nothing to compare with")
    passed = median >= target.limit if target.at_least else median <= target.limit
    return Verdict(target.what, target.text, measured, MET if passed else FAIL)


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


# --- The figures, of one repetition ----------------------------------------------------------------------------------


def _cpu_ratio(scenario: str) -> Callable[[Repetition], float]:
    return lambda of: of("worker", scenario).cpu_us_per_frame / of("floor", scenario).cpu_us_per_frame


def _late_ms(measurement: Measurement, percent: int) -> float:
    """Return the lateness; infinite without frames."""
    late_ms = measurement.window.late_p50_ms if percent == 50 else measurement.window.late_p99_ms
    return math.inf if late_ms is None else late_ms


def _late_ratio(other: str, percent: int) -> Callable[[Repetition], float]:
    return lambda of: _late_ms(of("worker", "400"), percent) / _late_ms(of(other, "400"), percent)


def _storm_seconds(of: Repetition) -> float:
    connect = of("worker", "storm").connect
    assert connect is not None
    return connect.seconds


def _disconnected_seconds(of: Repetition) -> float:
    """Return the time until the last stalled viewer was disconnected; infinite if one was not."""
    one = of("worker", "stalled")
    return max(one.closed_after_s) if len(one.closed_after_s) == one.stalled_clients > 0 else math.inf


def _kib_per_connection(of: Repetition) -> float:
    few, many = of("worker", "100"), of("worker", "800")
    return (many.memory_bytes - few.memory_bytes) / (many.expected_clients - few.expected_clients) / 1024


TARGETS: Final = (
    Target(CPU_800, _cpu_ratio("800"), 1.05, "{:.2f} times the floor's"),
    Target("CPU per frame, 100 clients", _cpu_ratio("100"), 1.2, "{:.2f} times the floor's"),
    Target(
        DELIVERED_400,
        lambda of: 100 * of("worker", "400").worst_share,
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
    ),
    Target(
        "delivered to the worst of 800 clients",
        lambda of: of("worker", "800").worst_share / (of("floor", "800").worst_share or math.nan),
        0.97,
        "{:.3f} times the floor's",
        at_least=True,
    ),
    Target(
        "lateness p50, 400 clients",
        lambda of: _late_ms(of("worker", "400"), 50) - _late_ms(of("floor", "400"), 50),
        1.5,
        "{:.2f} ms above the floor's",
    ),
    Target("lateness p99, 400 clients", _late_ratio("floor", 99), 1.5, "{:.2f} times the floor's"),
    Target("lateness p50, 400 clients, against Bun", _late_ratio("bun", 50), 1.0, "{:.2f} times Bun's"),
    Target("lateness p99, 400 clients, against Bun", _late_ratio("bun", 99), 1.0, "{:.2f} times Bun's"),
    Target("lateness p50, 400 clients, against Nchan", _late_ratio("nchan", 50), 1.0, "{:.2f} times Nchan's"),
    Target("lateness p99, 400 clients, against Nchan", _late_ratio("nchan", 99), 1.0, "{:.2f} times Nchan's"),
    Target(STORM_CONNECTED, _storm_seconds, 2.0, "{:.2f} s"),
    Target(
        STORM_GAP,
        lambda of: of("worker", "storm").window.largest_gap_ms,
        100.0,
        "{:.1f} ms",
    ),
    Target(
        STALLED_DELIVERED,
        lambda of: 100 * of("worker", "stalled").worst_share,
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
    ),
    Target(
        "stalled viewers: lateness p99 of the others",
        lambda of: _late_ms(of("worker", "stalled"), 99) / _late_ms(of("worker", "400"), 99),
        1.5,
        "{:.2f} times that without stalled viewers",
    ),
    Target(
        STALLED_DISCONNECTED,
        _disconnected_seconds,
        20.0,
        "{:.1f} s",
    ),
    Target(MEMORY, _kib_per_connection, 12.0, "{:.1f} KiB"),
    Target(CPU_WITHOUT_VIEWERS, lambda of: 100 * of("worker", "0").cpu_share, 4.0, "{:.1f} % of a core"),
    Target(
        "CPU at rate=10, 400 clients",
        lambda of: 100 * of("worker", "rate=10").cpu_share / of("worker", "400").cpu_share,
        15.0,
        "{:.1f} % of the CPU at rate=100",
    ),
)
