"""Whether a figure that was sampled during a run is flat, or grows as with a leak.

Memory is never quite flat: allocators take it in steps and keep it, so it may rise to a higher level once and stay
there. A leak continues. So memory grows if it rises in both halves of the samples, or by more in all than such a step
may be. Counts, such as descriptors, are flat if they are the same in both halves and never much above what is expected.
"""

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

# A moment, in seconds, and the value then.
Sample = tuple[float, float]


class MemoryLimit(NamedTuple):
    """By how much memory may rise: `slope_mib_per_h` in one of the halves, and `rise_mib` in all."""

    slope_mib_per_h: float
    rise_mib: float


class CountLimit(NamedTuple):
    """By how much a count may change: by `drift` from one half to the other, and to `maximum` at any time."""

    drift: float
    maximum: float


class Verdict(NamedTuple):
    """The result as text, and whether the figure is flat."""

    measured: str
    target: str
    is_flat: bool


def slope(samples: Sequence[Sample]) -> float:
    """Return by how much the values rise in an hour: the median slope between any two of them (Theil-Sen estimator)."""
    slopes = [(b - a) / (later - earlier) for (earlier, a), (later, b) in combinations(samples, 2) if later > earlier]
    return 3_600 * statistics.median(slopes) if slopes else 0.0


def medians(samples: Sequence[Sample], parts: int) -> list[Sample]:
    """Return the median time and value of each of so many equal parts of the time. A part without samples has none."""
    first, last = samples[0][0], samples[-1][0]
    length = (last - first) / parts or 1.0
    groups: list[list[Sample]] = [[] for _ in range(parts)]
    for moment, value in samples:
        groups[min(parts - 1, int((moment - first) / length))].append((moment, value))
    return [
        (statistics.median(moment for moment, _ in group), statistics.median(value for _, value in group))
        for group in groups
        if group
    ]


def halves(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the samples of the first and the second half. With an odd number, the middle one is in both."""
    middle = len(samples) // 2
    return samples[: len(samples) - middle], samples[middle:]


def judge_memory(samples: Sequence[Sample], limit: MemoryLimit) -> Verdict:
    """Judge memory, in MiB, by the medians of 15 parts of the time."""
    levels = medians(samples, 15)
    slopes = [slope(half) for half in halves(levels)]
    rise = max(value for _, value in levels) - levels[0][1]
    return Verdict(
        f"{slopes[0]:+.1f} and {slopes[1]:+.1f} MiB an hour in the halves, {rise:+.1f} MiB at most",
        f"at most {limit.slope_mib_per_h:+g} MiB an hour in one of the halves, and {limit.rise_mib:+g} MiB in all",
        min(slopes) <= limit.slope_mib_per_h and rise <= limit.rise_mib,
    )


def judge_count(samples: Sequence[Sample], limit: CountLimit) -> Verdict:
    """Judge a count, less what is expected at the moment."""
    first, second = (statistics.median(value for _, value in half) for half in halves(samples))
    maximum = max(value for _, value in samples)
    return Verdict(
        f"{first:g}, then {second:g}; {maximum:g} at most",
        f"the same by {limit.drift:g}; {limit.maximum:g} at most",
        second - first <= limit.drift and maximum <= limit.maximum,
    )
