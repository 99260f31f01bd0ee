"""The capacity of a subject, and the verdict on the worker's against the best peer's."""

import math

import pytest

from bench.scenarios.capacity import Capacity, is_end, judge_capacity, step
from bench.trial.scenario import Record, verdicts
from bench.trial.target import FAIL, INVALID, MET, NOT_MEASURED, UNDECIDED, Verdict
from tests.bench.examples import sample

PASSED, LATE = Verdict("late", "", "", "", MET), Verdict("late", "", "", "", FAIL)
OPEN, LIMITED = Verdict("late", "", "", "", UNDECIDED), Verdict("late", "", "", "", INVALID, "busy")


def test_the_capacity_is_between_two_steps() -> None:
    """The last that passed and the first that failed; an undecided one is in between."""
    assert Capacity.of({400: [PASSED, PASSED], 1200: [PASSED, LATE], 800: [OPEN, PASSED]}) == Capacity(400, 1200)
    assert Capacity(400, 1200).text == "400 to 1,200"


def test_a_ladder_that_the_load_generator_ended_has_no_upper_end() -> None:
    """What the subject could do is unknown."""
    capacity = Capacity.of({800: [PASSED], 1200: [LIMITED]})
    assert capacity == Capacity(800, math.inf, "busy")
    assert capacity.text == "800 or more"


def test_a_step_that_failed_by_bad_luck_does_not_count() -> None:
    """The subject served more on the next one."""
    steps = {400: [LATE], 800: [PASSED], 1200: [LATE], 1600: [LATE]}
    assert Capacity.of(steps) == Capacity(800, 1200)


@pytest.mark.parametrize(("one", "ends"), [(PASSED, False), (OPEN, False), (LATE, True), (LIMITED, True)])
def test_a_ladder_ends_with_two_steps_in_which_something_was_saturated(one: Verdict, *, ends: bool) -> None:
    """The subject or the load generator. It also ends if the subject does not run."""
    assert is_end([[PASSED], [PASSED, LATE], [PASSED, one]]) is ends
    assert not is_end([[LATE], [PASSED], [one]])
    assert not is_end([[one]])
    assert is_end([[Verdict("late", "", "", "", NOT_MEASURED)]])


@pytest.mark.parametrize(
    ("worker", "peers", "verdict"),
    [
        (Capacity(9000), {"Bun": Capacity(1200, 1600), "ws": Capacity(400, 800)}, MET),
        (Capacity(5000, 9000), {"Bun": Capacity(1200, 1600)}, UNDECIDED),
        (Capacity(2000, 5000), {"Bun": Capacity(1600, 2000)}, FAIL),
        (Capacity(9000), {"Bun": Capacity(1200, limit="busy")}, UNDECIDED),
        (Capacity(9000), {}, NOT_MEASURED),
        (None, {"Bun": Capacity(1200, 1600)}, NOT_MEASURED),
    ],
)
def test_the_worker_must_serve_four_times_the_viewers(
    worker: Capacity | None, peers: dict[str, Capacity], verdict: str
) -> None:
    """For certain: also if the peer serves as many as it possibly can."""
    assert judge_capacity(worker, peers).verdict == verdict


def test_the_verdict_names_the_best_peer() -> None:
    """And by how much the worker is better, at least."""
    peers = {"Bun": Capacity(1200, 1600), "ws": Capacity(400, 800)}
    assert (
        judge_capacity(Capacity(9000), peers).measured
        == "at least 5.6 times: 9,000 or more viewers; Bun: 1,200 to 1,600"
    )


def test_a_step_needs_punctual_and_complete_frames() -> None:
    """A peer that omits frames to be punctual is saturated."""
    one = step("bun", 800)
    turns = [{"bun": sample(rate=rate)} for rate in (100, 100, 100)]
    assert {verdict.verdict for verdict in verdicts(one, Record("", "", turns))} == {MET}
    turns = [{"bun": sample(rate=90)}] * 3
    assert [verdict.verdict for verdict in verdicts(one, Record("", "", turns))] == [MET, FAIL]
    assert [target.what for target in step("worker", 9000, auto=True).targets] == ["lateness p99", "refused or closed"]
