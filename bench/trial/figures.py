"""The figures that are computed from the turns of a scenario. A figure of something that was not measured is NaN."""

import math
import statistics
from collections.abc import Sequence

from bench.load.results import Histogram
from bench.trial.sample import Sample, Turn

WORKER, FLOOR = "worker", "floor"

Turns = Sequence[Turn]


def samples(turns: Turns, side: str) -> list[Sample]:
    """Return the samples of a side."""
    return [turn[side] for turn in turns if side in turn]


def late_ms(turns: Turns, side: str, percent: float, name: str | None = None) -> float:
    """Return the lateness that `percent` of all frames do not exceed: of one class of viewers, or of all."""
    merged = Histogram.merged(
        one.lateness
        for sample in samples(turns, side)
        for key, one in sample.window.classes.items()
        if name in {None, key}
    )
    late = merged.percentile_ms(percent)
    return math.nan if late is None else late


def cpu_us(turns: Turns, side: str) -> float:
    """Return the CPU time per delivered frame, in microseconds."""
    return _median([us for one in samples(turns, side) if not math.isnan(us := cpu_us_of(one))])


def cpu_us_of(sample: Sample) -> float:
    """Return the CPU time per delivered frame of one sample, in microseconds; NaN without frames."""
    frames = sample.window.frames
    return sum(sample.cpu_ns.values()) / 1000 / frames if frames else math.nan


def cpu_ratio(turns: Turns, side: str, reference: str) -> float:
    """Return the median of the paired ratios of the CPU time per frame."""
    pairs = [(cpu_us_of(turn[side]), cpu_us_of(turn[reference])) for turn in turns if {side, reference} <= turn.keys()]
    return _median([one / other for one, other in pairs if not math.isnan(one + other)])


def core_percent(turns: Turns, side: str) -> float:
    """Return the CPU time of the programs, in percent of one core."""
    return _median([100 * sum(one.cpu_ns.values()) / 1e9 / one.seconds for one in samples(turns, side)])


def program_percent(turns: Turns, side: str, program: str) -> float:
    """Return the CPU time of one program, in percent of one core."""
    return _median([100 * one.cpu_ns.get(program, 0) / 1e9 / one.seconds for one in samples(turns, side)])


def waited_percent(turns: Turns, side: str) -> float:
    """Return how long the programs were ready but had to wait for a processor, in percent of the time."""
    return _median([100 * one.waited_s / one.seconds for one in samples(turns, side)])


def memory_mib(turns: Turns, side: str) -> float:
    """Return the private memory of the programs, in MiB."""
    return _median([one.memory_bytes / (1 << 20) for one in samples(turns, side)])


def worst_rate(turns: Turns, side: str) -> float:
    """Return the frames per second of the worst-off viewer, over all turns together."""
    last = max(samples(turns, side), key=lambda one: one.window.total_ms, default=None)
    if last is None or not last.window.clients:
        return math.nan
    return min(one.total_worst_rate for one in last.window.classes.values() if one.clients)


def served(turns: Turns, side: str) -> float:
    """Return the median of how many viewers were streaming in a turn."""
    return _median([one.window.clients for one in samples(turns, side)])


def worst_percent(turns: Turns, side: str) -> float:
    """Return the frames of the worst-off viewer over all turns together, in percent of the published ticks."""
    measured = samples(turns, side)
    published = sum(one.published_ticks for one in measured)
    seconds = sum(one.window.to_ms - one.window.from_ms for one in measured) / 1000
    return 100 * worst_rate(turns, side) * seconds / published if published else math.nan


def largest_gap_ms(turns: Turns, side: str) -> float:
    """Return the median of the turns' largest gaps."""
    return _median(
        [max(gaps) for one in samples(turns, side) if (gaps := [c.largest_gap_ms for c in one.window.classes.values()])]
    )


def lost(turns: Turns, side: str) -> float:
    """Return how many viewers or probes were refused, closed or failed."""
    return sum(one.lost for one in samples(turns, side)) if samples(turns, side) else math.nan


def probe_ms(turns: Turns, side: str, percent: float) -> float:
    """Return the time that `percent` of the probes do not exceed."""
    times = Histogram.merged(one.window.probes.times for one in samples(turns, side)).percentile_ms(percent)
    return math.nan if times is None else times


def connect_seconds(turns: Turns, side: str) -> float:
    """Return the median of the times until all viewers that arrived had connected."""
    return _median([one.connect.seconds for one in samples(turns, side) if one.connect is not None])


def value(turns: Turns, side: str, name: str) -> float:
    """Return the median of a figure that only this scenario has."""
    return _median([one.values[name] for one in samples(turns, side) if name in one.values])


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan
