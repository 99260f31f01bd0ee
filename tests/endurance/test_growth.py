"""How a run of the endurance test is judged: flat figures, leaks, and memory that rises once and stays there."""

import random
from collections.abc import Callable

import pytest

from tests.endurance.growth import CountLimit, MemoryLimit, Sample, judge_count, judge_memory, medians, slope

MEMORY = MemoryLimit(slope_mib_per_h=6, rise_mib=16)
COUNT = CountLimit(drift=3, maximum=50)


def samples(value: Callable[[float], float], *, noise: float = 0.0, minutes: float = 15) -> list[Sample]:
    """Return a sample for every ten seconds of some minutes: `value` of the minute, with noise."""
    chance = random.Random(1)
    moments = (10.0 * number for number in range(int(minutes * 6)))
    return [(moment, value(moment / 60) + chance.uniform(-noise, noise)) for moment in moments]


def test_the_slope_is_per_hour() -> None:
    """One extreme value does not change it."""
    rising = samples(lambda minute: 60 + 0.5 * minute)
    assert slope(rising) == pytest.approx(30)
    rising[40] = (rising[40][0], 500)
    assert slope(rising) == pytest.approx(30, rel=0.05)
    assert slope(rising[:1]) == 0


def test_medians_are_of_equal_parts() -> None:
    """Each part has its own median; a part without samples has none."""
    assert medians([(0, 1), (10, 2), (20, 9), (25, 4), (90, 5)], 3) == [(15, 3), (90, 5)]


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_constant_memory_is_flat(noise: float) -> None:
    """Noise does not change that."""
    assert judge_memory(samples(lambda _: 70, noise=noise), MEMORY).is_flat


@pytest.mark.parametrize("kib_a_minute", [200, 1_000, 20_000])
def test_a_leak_is_not_flat(kib_a_minute: float) -> None:
    """200 KiB a minute are 11 MiB an hour, or 110 bytes for each of 30 connections a second."""
    assert not judge_memory(samples(lambda minute: 70 + kib_a_minute / 1024 * minute, noise=0.3), MEMORY).is_flat


@pytest.mark.parametrize("minute_of_rise", [1, 5, 7.5, 10, 14])
def test_memory_may_rise_once(minute_of_rise: float) -> None:
    """An allocator takes another arena, once, and keeps it."""
    two_levels = samples(lambda minute: 70 if minute < minute_of_rise else 76, noise=0.2)
    assert judge_memory(two_levels, MEMORY).is_flat


def test_memory_that_rises_again_and_again_is_not_flat() -> None:
    """An allocator that takes one arena after another shows a leak."""
    assert not judge_memory(samples(lambda minute: 70 + minute // 3, noise=0.1), MEMORY).is_flat


def test_memory_that_rises_too_far_is_not_flat() -> None:
    """One large rise is enough."""
    assert not judge_memory(samples(lambda minute: 70 if minute < 5 else 90), MEMORY).is_flat


def test_memory_that_falls_is_flat() -> None:
    """Freed memory is no leak."""
    assert judge_memory(samples(lambda minute: 70 - minute), MEMORY).is_flat


def test_a_count_that_varies_is_flat() -> None:
    """Connections that open and close change it for a moment."""
    assert judge_count(samples(lambda minute: int(10 * minute) % 7), COUNT).is_flat


def test_a_count_that_grows_is_not_flat() -> None:
    """One descriptor a minute is a leak."""
    assert not judge_count(samples(int, noise=1), COUNT).is_flat


def test_a_count_that_is_too_high_once_is_not_flat() -> None:
    """One sample above the maximum is enough."""
    assert not judge_count([*samples(lambda _: 5), (900, 51)], COUNT).is_flat
