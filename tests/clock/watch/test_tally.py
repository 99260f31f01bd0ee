"""The counts of frames."""

import random
import statistics

import pytest

from clock.watch.tally import Tally


def test_shares_are_those_of_the_sorted_values() -> None:
    """By the nearest rank, to a tenth of a millisecond."""
    chance, tally = random.Random(3), Tally(110)
    values = [chance.expovariate(0.2) for _ in range(1_000)]
    for value in values:
        tally.add_frame(None, value)
    found = tally.lateness(0, 0.5, 0.99, 1)
    ranked = sorted(values)
    assert found == pytest.approx([ranked[0], statistics.median_low(values), ranked[989], ranked[-1]], abs=0.051)


def test_one_frame() -> None:
    """It is the minimum and the p99."""
    tally = Tally(110)
    tally.add_frame(None, 1.26)
    assert tally.lateness(0, 0.99) == [1.3, 1.3]


def test_without_a_lateness() -> None:
    """It is unknown, and the frame counts."""
    tally = Tally(110)
    tally.add_frame(10.0, None)
    assert tally.lateness(0.5) is None
    assert tally.frames == 1


def test_memory_is_bounded() -> None:
    """Whatever is late by however much."""
    tally = Tally(110)
    for step in range(-100_000, 200_000, 7):
        tally.add_frame(None, float(step))
    assert tally.lateness(0, 1) == [-60_000, 60_000]
    assert len(tally._lateness) < 15_000


def test_gaps() -> None:
    """Those above the limit are long."""
    tally = Tally(110)
    for gap in (None, 10.0, 110.0, 110.1, 900.0, 12.0):
        tally.add_frame(gap, None)
    assert (tally.longest_gap_ms, tally.long_gaps) == (900.0, 2)


def test_a_sum() -> None:
    """Of everything, and the longest gap of all."""
    first, second = Tally(110), Tally(110)
    first.add_frame(500.0, 1.0)
    second.add_frame(200.0, 3.0)
    second.add_frame(None, 3.0)
    total = Tally.merged([first, second], 110)
    assert (total.frames, total.longest_gap_ms, total.long_gaps) == (3, 500.0, 2)
    assert total.lateness(0, 0.5) == [1.0, 3.0]
