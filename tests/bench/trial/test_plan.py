"""The plan has every measurement that the targets need, and only what the command line names."""

from dataclasses import replace

from bench.subjects.catalogue import SUBJECTS
from bench.trial.plan import make_plan
from bench.trial.scenarios import SCENARIOS
from tests.bench.report.examples import passing

# As if everything were installed here.
COMPLETE = [replace(subject, missing=str) for subject in SUBJECTS]


def test_the_plan_has_what_the_targets_need() -> None:
    """Every subject and scenario whose figures a target reads."""
    steps, left_out = make_plan(subjects=COMPLETE)
    assert left_out == {}
    planned = {(step.subject.name, scenario) for step in steps for scenario in step.scenarios}
    assert {(one.subject, one.scenario) for one in passing()} <= planned


def test_only_limits_the_plan() -> None:
    """To the subjects and scenarios that it names, in the usual order."""
    (step,), _ = make_plan(only=["floor", "100", "1"], subjects=COMPLETE)
    assert (step.subject.name, step.scenarios) == ("floor", ["1", "100"])


def test_the_full_plan_has_every_subject() -> None:
    """Its scenarios are in their order, because one builds on another's clients."""
    steps, _ = make_plan(full=True, subjects=COMPLETE)
    assert [step.subject.name for step in steps] == [subject.name for subject in SUBJECTS]
    for step in steps:
        assert step.scenarios == [scenario for scenario in SCENARIOS if scenario in step.scenarios]
        assert step.seconds(10) > 10 * len(step.scenarios) - 10


def test_a_subject_that_cannot_run_here_is_left_out() -> None:
    """With what it lacks."""
    incomplete = [replace(subject, missing=lambda: "it needs npm") for subject in SUBJECTS if subject.name == "bun"]
    assert make_plan(subjects=incomplete) == ([], {"bun": "it needs npm"})
