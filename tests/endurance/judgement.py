"""Whether a figure that was sampled during a soak is flat, or grows as with a leak.

Memory is never quite flat: the allocators take it in steps and keep it, so that it may rise to another level once and
stay there. A leak goes on. So memory has grown if it rises in each half of what is judged, or rises beyond what any
level should be above the first. Counts, such as descriptors, are flat if they are the same in both halves, and are
never much above what is expected at the moment.
"""

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

# A moment, in seconds, and the value then.
Sample = tuple[float, float]


class MemoryLimit(NamedTuple):
    """What memory may do: rise by `slope` an hour in one half, and by `rise` in all; MiB."""

    slope: float
    rise: float


class CountLimit(NamedTuple):
    """What a count may do: differ by `drift` between the halves, and be so many at most."""

    drift: float
    most: float


class Verdict(NamedTuple):
    """What was found, in words, and whether it is flat."""

    measured: str
    target: str
    is_flat: bool


def slope(samples: Sequence[Sample]) -> float:
    """Return by how much the values rise an hour: the median of the slopes between any two of them (Theil and Sen)."""
    slopes = [(b - a) / (later - earlier) for (earlier, a), (later, b) in combinations(samples, 2) if later > earlier]
    return 3_600 * statistics.median(slopes) if slopes else 0.0


def medians(samples: Sequence[Sample], parts: int) -> list[Sample]:
    """Return the median moment and value of each of so many equal parts of the time."""
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
    """Return the samples of the first half and of the second; with an odd number, the middle one is in both."""
    middle = len(samples) // 2
    return samples[: len(samples) - middle], samples[middle:]


def judge_memory(samples: Sequence[Sample], limit: MemoryLimit) -> Verdict:
    """Judge memory, in MiB: by medians of 15 parts of the time."""
    levels = medians(samples, 15)
    slopes = [slope(half) for half in halves(levels)]
    rise = max(value for _, value in levels) - levels[0][1]
    return Verdict(
        f"{slopes[0]:+.1f} and {slopes[1]:+.1f} MiB an hour in the halves, {rise:+.1f} MiB at most",
        f"at most {limit.slope:+g} MiB an hour in one of the halves, and {limit.rise:+g} MiB in all",
        min(slopes) <= limit.slope and rise <= limit.rise,
    )


def judge_count(samples: Sequence[Sample], limit: CountLimit) -> Verdict:
    """Judge a count of what there is beyond what is expected."""
    first, second = (statistics.median(value for _, value in half) for half in halves(samples))
    most = max(value for _, value in samples)
    return Verdict(
        f"{first:g}, then {second:g}; {most:g} at most",
        f"the same by {limit.drift:g}; {limit.most:g} at most",
        second - first <= limit.drift and most <= limit.most,
    )
