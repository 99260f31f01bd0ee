"""A verdict needs an interval on one side of the target, and figures that say something."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from bench.load.results import Histogram
from bench.trial import figures
from bench.trial.sample import REFUSED, Sample, Turn
from bench.trial.target import FAIL, INVALID, MET, NOT_MEASURED, UNDECIDED, Target, judge
from tests.bench.examples import connected, pair, sample, window

RATIO = Target(
    "CPU per frame",
    partial(figures.cpu_ratio, side="worker", reference="floor"),
    1.10,
    "{:.2f} times the floor's",
    floor=partial(figures.cpu_us, side="floor"),
    floor_form="{:.1f} µs",
)
LATE = Target("lateness p99", partial(figures.late_ms, side="worker", percent=99), 25.0, "{:.1f} ms")
LOST = Target("refused", partial(figures.lost, side="worker"), 0, "{:.0f}", exact=True)
RATE = Target(
    "worst-off", partial(figures.worst_rate, side="worker"), 99.9, "{:.1f} frames/s", at_least=True, exact=True
)


def turns(*ratios: float) -> list[Turn]:
    """Return turns in which the worker's frames cost so many times the floor's, which change from turn to turn."""
    costs = [5.0 + 0.5 * number for number in range(len(ratios))]
    return [pair(sample(cpu_us=cost * ratio), sample(cpu_us=cost)) for cost, ratio in zip(costs, ratios, strict=True)]


def test_a_ratio_is_that_of_the_pairs() -> None:
    """The machine gets slower by half from turn to turn, and the ratio stays what it is."""
    verdict = judge(RATIO, turns(*[1.05] * 10))
    assert (verdict.verdict, verdict.measured) == (MET, "1.05 times the floor's (1.05 to 1.05)")
    assert (verdict.target, verdict.floor) == ("at most 1.10 times the floor's", "7.2 µs")


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ((1.02, 1.05, 1.04, 1.03, 1.06), MET),
        ((1.12, 1.15, 1.18, 1.14, 1.13), FAIL),
        ((1.02, 1.15, 1.09, 1.18, 1.05), UNDECIDED),
    ],
)
def test_the_interval_decides(ratios: tuple[float, ...], verdict: str) -> None:
    """Only if all of it is on one side of the target."""
    assert judge(RATIO, turns(*ratios)).verdict == verdict


def test_one_turn_decides_nothing() -> None:
    """Whatever its figure is."""
    assert judge(RATIO, turns(1.0)).verdict == UNDECIDED
    assert judge(RATIO, []).verdict == NOT_MEASURED


def test_the_lateness_is_that_of_all_frames() -> None:
    """A slow turn of four makes the p99 slow: it has a quarter of the frames."""
    quick, slow = sample(late_ms=4.0), sample(late_ms=30.0)
    assert judge(LATE, [pair(quick, quick)] * 4).verdict == MET
    assert figures.late_ms([pair(quick, quick)] * 3 + [pair(slow, quick)], "worker", 99) > 29
    assert judge(LATE, [pair(quick, quick)] * 3 + [pair(slow, quick)]).verdict == UNDECIDED
    assert judge(LATE, [pair(slow, quick)] * 4).verdict == FAIL


def test_a_count_has_no_interval() -> None:
    """Two of 800 viewers were refused while they connected, and a probe failed later."""
    good, bad = sample(), sample()
    bad.connect = connected(798, failures={REFUSED: 2})
    assert judge(LOST, [pair(good, good)] * 2).measured == "0"
    verdict = judge(LOST, [pair(bad, good), pair(good, good)])
    assert (verdict.measured, verdict.verdict, verdict.reason) == ("2", FAIL, "")


def test_the_worst_off_viewer_counts_over_all_turns() -> None:
    """Its totals are in the last turn; a viewer that missed a tick in 100 gets 99 frames per second."""
    first, last = sample(), sample()
    one = replace(last.window.classes["viewers"], total_worst_rate=99.5)
    last.window = replace(last.window, total_ms=2000, classes={"viewers": one})
    assert figures.worst_rate([pair(last, first), pair(first, first)], "worker") == 99.5
    assert figures.worst_percent([pair(last, first), pair(first, first)], "worker") == 99.5
    assert judge(RATE, [pair(first, first), pair(last, first)]).verdict == FAIL


def with_duplicates(one: Sample) -> None:
    """A frame came twice."""
    viewers = replace(one.window.classes["viewers"], duplicates=1)
    one.window = replace(one.window, classes={"viewers": viewers})


def with_a_closed_viewer(one: Sample) -> None:
    """The worker closed it, for no reason that it may have."""
    one.window = replace(one.window, failures={"the connection was closed": 1})


def with_a_missing_viewer(one: Sample) -> None:
    """It is no longer there."""
    one.viewers += 1


def with_a_bad_answer(one: Sample) -> None:
    """`/clock/now` answered with an error."""
    one.connect = replace(connected(800), non_200_answers=1)


@pytest.mark.parametrize("spoil", [with_duplicates, with_a_closed_viewer, with_a_missing_viewer, with_a_bad_answer])
def test_an_error_in_one_turn_fails_the_target(spoil: Callable[[Sample], None]) -> None:
    """Whatever the figures are; an error of the floor makes the comparison meaningless."""
    spoiled = sample()
    spoil(spoiled)
    good = [pair(sample(), sample())] * 4
    verdict = judge(RATIO, [*good, pair(spoiled, sample())])
    assert verdict.verdict == FAIL
    assert verdict.reason == spoiled.errors != ""
    verdict = judge(RATIO, [*good, pair(sample(), spoiled)])
    assert (verdict.verdict, verdict.reason) == (INVALID, f"the floor: {spoiled.errors}")


def test_a_refusal_while_connecting_is_no_error() -> None:
    """An overloaded worker refuses viewers; any other failure is one."""
    one = sample()
    one.connect = connected(100, failures={REFUSED: 700})
    assert one.errors == ""
    one.connect = connected(100, failures={REFUSED: 699, "no 101 in time": 1})
    assert one.errors == "no 101 in time (1)"


def test_a_saturated_load_generator_makes_the_target_invalid() -> None:
    """If it was in most of the turns. Busy and waiting for the core count together."""
    good, busy = sample(), sample(cpu_share=0.85)
    assert good.saturation == ""
    assert "95%" in busy.saturation
    assert judge(RATIO, [pair(good, good)] * 3 + [pair(busy, good)] * 2).verdict == MET
    verdict = judge(RATIO, [pair(good, good)] * 2 + [pair(good, busy)] * 3)
    assert (verdict.verdict, verdict.reason) == (INVALID, busy.saturation)


def test_a_lag_of_the_load_generator_excuses_a_miss() -> None:
    """It makes figures worse, so a target that is met is met."""
    quick, slow = sample(late_ms=4.0), sample(late_ms=30.0)
    for one in (quick, slow):
        one.window = replace(one.window, lags=Histogram({700: 10}))
    assert sample().lag_ms < 1
    assert 600 < slow.lag_ms < 700
    assert judge(LATE, [pair(quick, quick)] * 3).verdict == MET
    verdict = judge(LATE, [pair(slow, slow)] * 3)
    assert verdict.verdict == INVALID
    assert f"{slow.lag_ms:.1f} ms late" in verdict.reason
    assert judge(replace(LATE, max_lag_ms=700), [pair(slow, slow)] * 3).verdict == FAIL


def test_without_frames_there_is_nothing_to_compare_with() -> None:
    """No viewer received any."""
    silent = sample()
    silent.window = window({"viewers": (800, 1.0)}, rate=0)
    assert judge(RATIO, [pair(silent, silent)] * 4).verdict == INVALID
