"""A session takes as many turns as its targets need and its time allows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import pytest

from bench.scenarios import session
from bench.scenarios.capacity import STEPS
from bench.scenarios.catalogue import AUTO_SIZES, SCENARIOS, SIZES
from bench.scenarios.session import Budget, Ladder, ladders, measure
from bench.subjects.catalogue import SUBJECTS
from bench.trial import figures
from bench.trial.sample import Sample, Turn
from bench.trial.scenario import Record, Scenario, TakeTurn, run
from bench.trial.side import NotPossible, Stage
from bench.trial.target import Target
from tests.bench.examples import sample

STAGE = cast("Stage", None)
LATE = Target("lateness p99", partial(figures.late_ms, side="worker", percent=99), 25.0, "{:.1f} ms")

# One turn in nine is slow: it may have been the machine or the worker.
QUICK, MIXED = (4.0,), (4.0, 30.0, *[4.0] * 7)


def scenario(late_ms: tuple[float, ...], *, minimum: int = 3, maximum: int = 9, name: str = "one") -> Scenario:
    """Return a scenario whose frames are late by these, one after the other and again."""

    @contextmanager
    def open_it(_stage: Stage) -> Iterator[TakeTurn]:
        turns = 0

        def take_turn() -> Turn:
            nonlocal turns
            turns += 1
            return {"worker": sample(late_ms=late_ms[turns % len(late_ms)])}

        yield take_turn

    return Scenario(name, name, open_it, (LATE,), minimum=minimum, maximum=maximum)


def test_a_decided_scenario_takes_the_minimum() -> None:
    """More turns would change nothing."""
    assert len(run(scenario(QUICK), STAGE, lambda: True).turns) == 3


def test_an_undecided_one_takes_more_turns_up_to_its_maximum() -> None:
    """If there is time."""
    assert len(run(scenario(MIXED), STAGE, lambda: True).turns) == 9
    assert len(run(scenario(MIXED), STAGE, lambda: False).turns) == 3


@pytest.mark.parametrize(("error", "is_possible"), [(OSError("broken"), True), (NotPossible("it needs npm"), False)])
def test_a_subject_that_does_not_run_is_reported(error: Exception, is_possible: bool) -> None:  # noqa: FBT001
    """And the session goes on."""

    @contextmanager
    def open_it(_stage: Stage) -> Iterator[TakeTurn]:
        raise error
        yield dict

    record = run(Scenario("one", "one", open_it, (LATE,)), STAGE, lambda: True)
    assert (record.turns, record.problem, record.is_possible) == ([], str(error), is_possible)


def test_the_budget_leaves_time_for_the_rest_of_the_plan() -> None:
    """With 60 s for parts of 20 s each, the first has room until 20 s, the last until the end."""
    now = 100.0
    budget = Budget(60.0, [20.0, 20.0, 20.0], now=lambda: now)
    budget.start_next()
    assert budget.has_room()
    now = 121.0
    assert not budget.has_room()
    budget.start_next()
    budget.start_next()
    assert budget.has_room()
    now = 161.0
    assert not budget.has_room()


def climb(late_ms: Callable[[int], float], monkeypatch: pytest.MonkeyPatch) -> dict[int, Record]:
    """Climb a ladder whose viewers' frames are late by so much."""

    def step(subject: str, viewers: int, *, auto: bool = False) -> Scenario:
        assert (subject, auto) == ("bun", False)
        return scenario((late_ms(viewers),), name=str(viewers))

    monkeypatch.setattr(session, "step", step)
    return measure([], [Ladder("bun")], STAGE, 60, lambda *_: None).steps["bun"]


def test_a_ladder_ends_where_the_subject_is_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second step at which it is too late."""
    assert list(climb(lambda viewers: viewers / 50, monkeypatch)) == [400, 800, 1200, 1600, 1800]
    assert list(climb(lambda viewers: 30.0 if viewers == 800 else 1.0, monkeypatch)) == list(STEPS)
    assert list(climb(lambda _: 1.0, monkeypatch)) == list(STEPS)


def test_the_usual_session_fits_into_a_quarter_of_an_hour() -> None:
    """With all peers."""
    assert sum(one.seconds for one in SCENARIOS) + 3 * 5 * 12.5 < 15 * 60


def test_names_are_unique() -> None:
    """`--only` takes them."""
    names = [*(one.name for one in SCENARIOS), *(one.name for one in ladders(full=True))]
    assert len(names) == len(set(names))
    assert AUTO_SIZES.keys() | SIZES.keys() <= set(names)
    assert {one.subject for one in ladders(full=True)} <= SUBJECTS.keys()
    assert {one.subject for one in ladders(full=False)} == {"ws", "bun", "nchan", "centrifugo"}


def test_every_target_can_be_judged_by_its_own_scenario() -> None:
    """Each names its figure once."""
    texts = [target.what for one in SCENARIOS for target in one.targets]
    assert len(texts) == len(set(texts))
    assert all("{" not in target.text for one in SCENARIOS for target in one.targets)


def test_a_sample_is_complete() -> None:
    """The made-up ones have no error."""
    one: Sample = sample()
    assert (one.errors, one.saturation, one.lost) == ("", "", 0)
