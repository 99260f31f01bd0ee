"""How the soak is judged: what is flat, what leaks, and memory that rises once to another level and stays there."""

import random
from collections.abc import Callable

import pytest

from tests.endurance.judgement import CountLimit, MemoryLimit, Sample, judge_count, judge_memory, medians, slope

MEMORY = MemoryLimit(slope=6, rise=16)
COUNT = CountLimit(drift=3, most=50)


def samples(value: Callable[[float], float], *, noise: float = 0.0, minutes: float = 15) -> list[Sample]:
    """Return samples of every ten seconds of some minutes: `value` of the minutes, and noise."""
    chance = random.Random(1)
    moments = (10.0 * number for number in range(int(minutes * 6)))
    return [(moment, value(moment / 60) + chance.uniform(-noise, noise)) for moment in moments]


def test_the_slope_is_by_the_hour() -> None:
    """And one wild value does not change it."""
    rising = samples(lambda minute: 60 + 0.5 * minute)
    assert slope(rising) == pytest.approx(30)
    rising[40] = (rising[40][0], 500)
    assert slope(rising) == pytest.approx(30, rel=0.05)
    assert slope(rising[:1]) == 0


def test_medians_of_parts() -> None:
    """Each part has its own; a part without samples has none."""
    assert medians([(0, 1), (10, 2), (20, 9), (25, 4), (90, 5)], 3) == [(15, 3), (90, 5)]


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_flat_memory(noise: float) -> None:
    """Is flat, whatever its noise."""
    assert judge_memory(samples(lambda _: 70, noise=noise), MEMORY).is_flat


@pytest.mark.parametrize("kib_a_minute", [200, 1_000, 20_000])
def test_a_leak(kib_a_minute: float) -> None:
    """Is no leak too small: 200 KiB a minute are 11 MiB an hour, or 110 bytes for each of 30 connections a second."""
    assert not judge_memory(samples(lambda minute: 70 + kib_a_minute / 1024 * minute, noise=0.3), MEMORY).is_flat


@pytest.mark.parametrize("minute_of_rise", [1, 5, 7.5, 10, 14])
def test_two_levels_of_memory(minute_of_rise: float) -> None:
    """The allocator takes another arena, once, and keeps it."""
    two_levels = samples(lambda minute: 70 if minute < minute_of_rise else 76, noise=0.2)
    assert judge_memory(two_levels, MEMORY).is_flat


def test_a_staircase_of_memory() -> None:
    """Arenas that are taken again and again are a leak."""
    assert not judge_memory(samples(lambda minute: 70 + minute // 3, noise=0.1), MEMORY).is_flat


def test_memory_that_rises_by_too_much() -> None:
    """Once is too often, too."""
    assert not judge_memory(samples(lambda minute: 70 if minute < 5 else 90), MEMORY).is_flat


def test_memory_that_falls() -> None:
    """Is no leak."""
    assert judge_memory(samples(lambda minute: 70 - minute), MEMORY).is_flat


def test_a_flat_count() -> None:
    """What is in flight comes and goes."""
    assert judge_count(samples(lambda minute: int(10 * minute) % 7), COUNT).is_flat


def test_a_count_that_grows() -> None:
    """One descriptor a minute is a leak."""
    assert not judge_count(samples(int, noise=1), COUNT).is_flat


def test_a_count_that_is_too_high() -> None:
    """Once is enough."""
    assert not judge_count([*samples(lambda _: 5), (900, 51)], COUNT).is_flat
