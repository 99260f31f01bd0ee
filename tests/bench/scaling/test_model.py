"""The model: its costs come from the calibration points, and the other points decide whether it agrees."""

from dataclasses import replace

import pytest

from bench.scaling.agreement import CHECK, TOLERANCE, UNUSED, compare, disagreements, rows
from bench.scaling.model import PLANNED_LOAD, Costs, Model
from bench.scaling.points import CALIBRATION, Measured, NotMeasured, Refusal
from clock.broadcast.fan_out import FanOut
from clock.broadcast.load import INITIAL_WRITING_S, TICKS_COST, VIEWER_COST
from clock.broadcast.rate_control import RateControl
from clock.contract import AUTO, AUTO_RATES, StreamRequest
from tests.bench.scaling.examples import COSTS, results
from tests.conftest import FakeViewer


def test_the_costs_are_found_again() -> None:
    """In results that follow from them exactly."""
    found = Costs.of(Measured.of(results()))
    for name in Costs.__slots__:
        assert getattr(found, name) == pytest.approx(getattr(COSTS, name), rel=0.01), name


def test_a_viewer_never_costs_less_than_nothing() -> None:
    """If pages took less than their frames do at the full rate, only frames count, and the full rate is met exactly."""
    measured = Measured.of(results(slower={"9000 auto": 0.7}))
    costs = Costs.of(measured)
    assert costs.viewer == 0
    full_rate = measured.point("800")
    assert Model(costs).load(800, full_rate.frames) == pytest.approx(full_rate.load)


def test_the_model_agrees_with_results_that_follow_from_it() -> None:
    """With all of them, and the calibration points are named."""
    comparisons = compare(Model(COSTS), Measured.of(results()))
    assert disagreements(comparisons) == []
    assert {row[-1] for row in rows(comparisons)} == {"calibration", "check: agrees"}
    assert max(abs(one.difference) for one in comparisons) < 0.01


def test_an_idle_worker_has_the_load_of_its_ticks() -> None:
    """It is a calibration point, too."""
    point = Measured.of(results()).point("idle")
    assert (point.viewers, point.frames) == (0, 0)
    assert point.load == pytest.approx(COSTS.ticks)


@pytest.mark.parametrize("scenario", ["400 auto", "1600", "5000 auto", "two workers", "no proxy", "HAProxy tcp"])
@pytest.mark.parametrize(("factor", "agrees"), [(1.15, True), (1.3, False), (0.75, False)])
def test_a_point_that_differs_too_much_is_found(scenario: str, factor: float, agrees: bool) -> None:  # noqa: FBT001
    """By more than 20 %, in either direction. A calibration point cannot differ, so it is none of these."""
    assert scenario not in CALIBRATION
    measured = Measured.of(results(slower={scenario: factor}))
    failed = disagreements(compare(Model(Costs.of(measured)), measured))
    assert (failed == []) is agrees
    assert all(abs(one.difference) > TOLERANCE for one in failed)


def test_a_worker_that_admits_too_few_is_found() -> None:
    """The limit of a worker is a check. It is none if everybody was admitted."""
    right = Model(COSTS).admitted(beside=800, beside_rate=100)
    for admitted, count in ((round(0.9 * right), 0), (round(0.7 * right), 1), (8_000, 0)):
        measured = Measured.of(results(admitted=admitted))
        failed = disagreements(compare(Model(COSTS), measured))
        assert len(failed) == count, admitted


def test_viewers_that_were_refused_at_another_load_are_predicted_from_that() -> None:
    """The results say at which load. If they do not, how many were admitted says nothing about the model."""
    model = Model(COSTS)
    others = replace(results(admitted=3_000), refuses_from=[0.7, 0.75])
    found = {one.title: one for one in compare(model, Measured.of(others)) if one.figure == "viewers admitted"}
    assert found["2,400 viewers at 100 frames/s"].predicted == model.admitted(100, refuses_from=Refusal(0.7, 0.75))
    assert {one.use for one in found.values()} == {CHECK}
    unknown = compare(model, Measured.of(replace(others, refuses_from=[])))
    assert {one.use for one in unknown if one.figure == "viewers admitted"} == {UNUSED}
    assert disagreements(unknown) == []


def test_results_without_a_scenario_are_refused() -> None:
    """The error names it."""
    found = results()
    for index, row in enumerate(found.rows):
        with pytest.raises(NotMeasured) as caught:
            Measured.of(replace(found, rows=found.rows[:index] + found.rows[index + 1 :]))
        assert row.scenario in str(caught.value)


def test_viewers_that_were_refused_are_in_no_load() -> None:
    """The worker refused some of 2,400, and the model knows how many."""
    measured = Measured.of(results())
    refused = [one for one in measured.points if one.viewers < one.crowd.viewers]
    assert [one.crowd.viewers for one in refused] == [2_400]
    assert {one.viewers for one in refused} == {Model(COSTS).admitted(100)}
    figures = [one.figure for one in compare(Model(COSTS), measured)]
    assert figures.count("viewers admitted") == 2  # and in the overload


def test_pages_put_the_planned_load_on_a_worker() -> None:
    """One more would exceed it."""
    model = Model(COSTS)
    for rate in AUTO_RATES:
        pages = model.pages_at(rate)
        below, above = (model.load(count, count * rate, has_probes=True) for count in (pages, pages + 1))
        assert below <= PLANNED_LOAD < above


@pytest.mark.parametrize("rate", [None, 10, 100])
def test_the_model_admits_as_many_as_the_worker(rate: int | None) -> None:
    """The rate control of a worker is full with a viewer more, if everything costs what the worker expects.

    Where all have a rate of their own, it overbooks its core.
    """
    fan_out = FanOut(now=lambda: 0.0)
    control = RateControl(fan_out, now=lambda: 0.0, cpu=lambda: 0.0)
    expected = replace(COSTS, ticks=TICKS_COST, viewer=VIEWER_COST, frame=INITIAL_WRITING_S)
    request = StreamRequest(AUTO if rate is None else rate, any_phase=True)
    for _ in range(Model(expected).admitted(rate)):
        fan_out.join(FakeViewer(), request)
    assert control.has_room_for(request)
    fan_out.join(FakeViewer(), request)
    assert not control.has_room_for(request)


def test_a_worker_at_auto_keeps_room_for_the_next_rate() -> None:
    """It raises the rate only if that fits with a margin."""
    model = Model(COSTS)
    assert [model.auto_rate(viewers) for viewers in (400, 1_300, 20_000)] == [100, 50, 10]
    for rate in AUTO_RATES[:-1]:
        assert model.auto_rate(model.pages_at_auto(rate)) >= rate
    assert model.admitted() > model.pages_at_auto(AUTO_RATES[-1])


def test_the_load_of_a_proxy_is_in_that_of_its_core() -> None:
    """A frame costs the worker and the proxy."""
    model = Model(COSTS)
    assert model.load(0, 1_000, is_proxied=True) - model.load(0, 1_000) == pytest.approx(1_000 * COSTS.proxied_frame)
