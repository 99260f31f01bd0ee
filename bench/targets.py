"""What the worker shall achieve, each judged from the measurements: as a ratio to the floor where it can be."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.measurement import Measurement
from bench.scenarios import STALLED, STALLED_LIMIT

REACHED: Final = "pass"
FAIL: Final = "FAIL"
INVALID: Final = "invalid"
SKIPPED: Final = "skipped"


class Missing(LookupError):
    """A measurement that is needed was not made; the text names it."""


class Round:
    """The measurements of one repetition, looked up by subject and scenario. It notes which have been used."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measurements = {(one.subject, one.scenario): one for one in measurements}
        self.used: list[Measurement] = []

    def __call__(self, subject: str, scenario: str) -> Measurement:
        """Return one measurement.

        Raises:
            Missing: it was not made.
        """
        found = self._measurements.get((subject, scenario))
        if found is None:
            raise Missing(f"not measured: {subject} at {scenario}")
        self.used.append(found)
        return found


@dataclass(frozen=True, slots=True)
class Target:
    """One target: what is measured, from one repetition, and the most or least that its median may be."""

    what: str
    measure: Callable[[Round], float]
    limit: float
    wording: str  # with {} for the value, for the limit as for what was measured
    at_least: bool = False

    @property
    def words(self) -> str:
        """What is asked, in words."""
        return f"at {'least' if self.at_least else 'most'} {self.wording.format(self.limit)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a target: `values` are those of the repetitions; `reason` says what spoke against judging them."""

    what: str
    target: str
    measured: str
    verdict: str
    reason: str
    values: list[float]


def judge(targets: Iterable[Target], measurements: Iterable[Measurement]) -> list[Verdict]:
    """Judge every target by the medians of the repetitions."""
    by_repetition: dict[int, list[Measurement]] = {}
    for one in measurements:
        by_repetition.setdefault(one.repetition, []).append(one)
    return [_judge(target, by_repetition) for target in targets]


def _judge(target: Target, by_repetition: Mapping[int, list[Measurement]]) -> Verdict:
    rounds = [Round(ones) for ones in by_repetition.values()]
    try:
        values = [target.measure(one) for one in rounds]
    except Missing as missing:
        return Verdict(target.what, target.words, "", SKIPPED, str(missing), [])
    if not values:
        return Verdict(target.what, target.words, "", SKIPPED, "nothing was measured", [])
    median = statistics.median(values)
    measured = target.wording.format(median)
    used = [measurement for one in rounds for measurement in one.used]
    own = _first(one.faults for one in used if one.subject == "worker")
    # What a yardstick did wrong says nothing about the worker, but nothing can be measured by it either.
    spoilt = _first(one.invalid for one in used) or _first(one.faults for one in used if one.subject != "worker")
    if own:
        return Verdict(target.what, target.words, measured, FAIL, own, values)
    if spoilt or math.isnan(median):
        return Verdict(target.what, target.words, measured, INVALID, spoilt or "nothing to compare with", values)
    reached = median >= target.limit if target.at_least else median <= target.limit
    return Verdict(target.what, target.words, measured, REACHED if reached else FAIL, "", values)


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


# --- What is measured, of one repetition -----------------------------------------------------------------------------


def _cpu_ratio(scenario: str) -> Callable[[Round], float]:
    return lambda of: of("worker", scenario).cpu_us_per_frame / of("floor", scenario).cpu_us_per_frame


def _late(measurement: Measurement, percent: int) -> float:
    """Return the lateness, milliseconds; infinite where no frame came."""
    assert measurement.window is not None
    late = measurement.window.late_p50_ms if percent == 50 else measurement.window.late_p99_ms
    return math.inf if late is None else late


def _late_ratio(other: str, percent: int) -> Callable[[Round], float]:
    return lambda of: _late(of("worker", "400"), percent) / _late(of(other, "400"), percent)


def _all_in_seconds(of: Round) -> float:
    entry = of("worker", "storm").entry
    assert entry is not None
    return entry.seconds


def _gap_ms(of: Round) -> float:
    window = of("worker", "storm").window
    assert window is not None
    return window.largest_gap_ms


def _all_closed_seconds(of: Round) -> float:
    """Return when the last of the stalled was closed; infinite if one was not."""
    measured = of("worker", "stalled")
    return max(measured.closed_after_s) if len(measured.closed_after_s) == measured.stalled > 0 else math.inf


def _kib_per_connection(of: Round) -> float:
    few, many = of("worker", "100"), of("worker", "800")
    return (many.memory_bytes - few.memory_bytes) / (many.expected - few.expected) / 1024


def _slow_rate_ratio(of: Round) -> float:
    slow, fast = of("worker", "rate=10"), of("worker", "400")
    return 100 * slow.cpu_share / fast.cpu_share


TARGETS: Final = (
    Target("CPU per frame, 800 clients", _cpu_ratio("800"), 1.05, "{:.2f} times the floor's"),
    Target("CPU per frame, 100 clients", _cpu_ratio("100"), 1.2, "{:.2f} times the floor's"),
    Target(
        "delivered to the worst-off of 400 clients",
        lambda of: 100 * of("worker", "400").worst_share,
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
    ),
    Target(
        "delivered to the worst-off of 800 clients",
        lambda of: of("worker", "800").worst_share / (of("floor", "800").worst_share or math.nan),
        0.97,
        "{:.3f} times the floor's",
        at_least=True,
    ),
    Target(
        "lateness p50, 400 clients",
        lambda of: _late(of("worker", "400"), 50) - _late(of("floor", "400"), 50),
        1.5,
        "{:.2f} ms beyond the floor's",
    ),
    Target("lateness p99, 400 clients", _late_ratio("floor", 99), 1.5, "{:.2f} times the floor's"),
    Target("lateness p50, 400 clients, beside Bun", _late_ratio("bun", 50), 1.0, "{:.2f} times Bun's"),
    Target("lateness p99, 400 clients, beside Bun", _late_ratio("bun", 99), 1.0, "{:.2f} times Bun's"),
    Target("lateness p50, 400 clients, beside Nchan", _late_ratio("nchan", 50), 1.0, "{:.2f} times Nchan's"),
    Target("lateness p99, 400 clients, beside Nchan", _late_ratio("nchan", 99), 1.0, "{:.2f} times Nchan's"),
    Target("400 more connect while 400 stream: all in within", _all_in_seconds, 2.0, "{:.2f} s"),
    Target("the same: largest gap of the connected", _gap_ms, 100.0, "{:.1f} ms"),
    Target(
        f"{STALLED} of 400 never read: delivered to the worst-off of the rest",
        lambda of: 100 * of("worker", "stalled").worst_share,
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
    ),
    Target(
        "the same: lateness p99 of the rest",
        lambda of: _late(of("worker", "stalled"), 99) / _late(of("worker", "400"), 99),
        1.5,
        "{:.2f} times that without them",
    ),
    Target(
        f"the same: all {STALLED} closed (looked for {STALLED_LIMIT:.0f} s)",
        _all_closed_seconds,
        20.0,
        "{:.1f} s after",
    ),
    Target("memory per connection, 100 to 800 clients", _kib_per_connection, 12.0, "{:.1f} KiB"),
    Target("a worker without viewers", lambda of: 100 * of("worker", "0").cpu_share, 4.0, "{:.1f} % of a core"),
    Target("rate=10, 400 clients", _slow_rate_ratio, 15.0, "{:.1f} % of the CPU of rate=100"),
)
