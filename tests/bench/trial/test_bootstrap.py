"""The bootstrap says how certain a figure is, and always says the same of the same turns."""

import math
import random
import statistics
from collections.abc import Sequence

from bench.trial.bootstrap import Interval, interval


def mean(values: Sequence[float]) -> float:
    """The figure of these tests."""
    return statistics.mean(values)


def test_equal_turns_leave_no_doubt() -> None:
    """Whatever is drawn, the figure is the same."""
    assert interval(mean, [3.0] * 10) == Interval(3.0, 3.0)


def test_the_interval_is_that_of_the_theory() -> None:
    """The mean of 100 values with a standard deviation of 1 is certain to ± 0.196."""
    numbers = random.Random(1)
    values = [numbers.gauss(10, 1) for _ in range(100)]
    low, high = interval(mean, values)
    assert low < mean(values) < high
    assert 0.3 < high - low < 0.5


def test_it_is_narrower_with_more_turns() -> None:
    """As the square root of their number."""
    numbers = random.Random(2)
    values = [numbers.gauss(10, 1) for _ in range(400)]
    few, many = interval(mean, values[:25]), interval(mean, values)
    assert 2.5 < (few.high - few.low) / (many.high - many.low) < 6


def test_it_is_repeatable() -> None:
    """The seed is fixed."""
    values = [1.0, 2.0, 4.0, 8.0]
    assert interval(mean, values) == interval(mean, values)


def test_one_turn_says_nothing() -> None:
    """The figure may be anything."""
    assert interval(mean, [1.0]) == Interval(-math.inf, math.inf)
