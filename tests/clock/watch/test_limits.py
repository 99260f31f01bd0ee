"""The limits, and how they are written."""

import argparse

import pytest

from clock.watch.limits import Limits, Measured, duration_ms, frames_per_second

GOOD = Measured(rate=99.9, gap=20.0, lateness=5.0, bound=1.0)
ALL = Limits(min_rate=95, max_gap=250, max_lateness=50, max_bound=20)


@pytest.mark.parametrize(("text", "expected"), [("250ms", 250), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)])
def test_durations(text: str, expected: float) -> None:
    """A number and its unit."""
    assert duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "250", "ms", "0ms", "-1s", "1 s", "1e3ms", "nans", "٣s", "1d"])
def test_invalid_durations(text: str) -> None:
    """The unit must be given, so that nobody takes seconds for milliseconds."""
    with pytest.raises(argparse.ArgumentTypeError, match="duration"):
        duration_ms(text)


def test_rates() -> None:
    """Numbers above 0."""
    assert frames_per_second("99.5") == 99.5
    for text in ("0", "-1", "nan", "100Hz", ""):
        with pytest.raises(argparse.ArgumentTypeError):
            frames_per_second(text)


def test_all_hold() -> None:
    """Also if a value is the limit itself."""
    assert [verdict.holds for verdict in ALL.judge(GOOD)] == [True] * 4
    assert all(verdict.holds for verdict in ALL.judge(Measured(95, 250, 50, 20)))
    assert Limits().judge(GOOD) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"rate": 94.9}, "min_rate"),
        ({"gap": 250.1}, "max_gap"),
        ({"lateness": 50.1}, "max_lateness"),
        ({"lateness": None}, "max_lateness"),
        ({"bound": 20.1}, "max_bound"),
        ({"bound": None}, "max_bound"),
    ],
)
def test_one_does_not_hold(change: dict[str, float | None], name: str) -> None:
    """What is unknown does not hold."""
    verdicts = ALL.judge(GOOD._replace(**change))  # type: ignore[arg-type]
    assert [verdict.name for verdict in verdicts if not verdict.holds] == [name]


def test_a_verdict_in_words() -> None:
    """With the option, its limit, and what was measured."""
    rate, gap, lateness, bound = map(str, ALL.judge(Measured(94.9, 300, None, 1.5)))
    assert rate == "--min-rate 95 Hz: measured 94.9 Hz, does not hold"
    assert gap == "--max-gap 250 ms: measured 300.0 ms, does not hold"
    assert lateness == "--max-lateness 50 ms: measured unknown, does not hold"
    assert bound == "--max-bound 20 ms: measured 1.5 ms, holds"
