"""The bootstrap: how certain a figure is that was computed from some turns (Efron, 1979).

The figure is computed again and again from turns that are drawn at random, with replacement, from those measured. The
interval holds the middle 95 % of the results. The random numbers have a fixed seed, so the same turns give the same
interval.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

RESAMPLES = 500
CONFIDENCE = 0.95
SEED = 14


class Interval(NamedTuple):
    """An interval that contains the figure with a confidence of 95 %."""

    low: float
    high: float


def interval(figure: Callable[[Sequence[T]], float], turns: Sequence[T]) -> Interval:
    """Return the interval of a figure. Fewer than two turns say nothing: then it is infinite."""
    if len(turns) < 2:
        return Interval(-math.inf, math.inf)
    numbers = random.Random(SEED)  # noqa: S311 - not a secret
    results = sorted(figure(numbers.choices(turns, k=len(turns))) for _ in range(RESAMPLES))
    outside = (1 - CONFIDENCE) / 2
    return Interval(results[round(outside * (RESAMPLES - 1))], results[round((1 - outside) * (RESAMPLES - 1))])
