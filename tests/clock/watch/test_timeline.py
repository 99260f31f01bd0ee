"""The ticker's timeline, with simulated clocks and networks."""

import random

import pytest

from clock.watch.timeline import Answer, Timeline

# The ticker's clock minus this machine's.
OFFSET = 1_795_351_680_000.0


def answer(
    now: float, *, request: float = 1.0, reply: float = 1.0, error: float = 0.0, bound: float | None = 0.5
) -> Answer:
    """Return an answer that arrives now."""
    return Answer(now - request - reply, now, now - reply + OFFSET + error, bound, synchronised=True, version="v")


def frame_at(now: float) -> int:
    """Return the tick of this moment."""
    return int(now + OFFSET) // 10 * 10


def test_lateness_is_within_the_bound_of_the_truth() -> None:
    """For all delays of probes, and with the highest error of the worker."""
    chance, timeline, now = random.Random(5), Timeline(), 1_000_000.0
    for _ in range(300):
        now += chance.uniform(1, 400)
        one = answer(
            now, request=chance.uniform(0.1, 40), reply=chance.uniform(0.1, 40), error=chance.uniform(-2, 2), bound=2
        )
        timeline.add_answer(one)
        now += chance.uniform(0, 30)
        late = chance.uniform(0, 25)
        at = frame_at(now - late)
        found, bound = timeline.add_frame(now, at), timeline.bound(now)
        assert found is not None
        assert bound is not None
        assert found == pytest.approx(now + OFFSET - at, abs=bound + 1e-3)
    assert timeline.steps == 0
    assert (timeline.answers, timeline.answers_without_bound, timeline.highest_answer_bound) == (300, 0, 2)
    assert timeline.versions == ["v"]


def test_frames_narrow_the_bound() -> None:
    """A frame proves that the ticker's clock shows at least its time."""
    timeline = Timeline()
    timeline.add_answer(answer(1_000_000.0, request=20, reply=20))
    before = timeline.bound(1_000_000.0)
    timeline.add_frame(1_000_000.0, frame_at(1_000_000.0))
    after = timeline.bound(1_000_000.0)
    assert before is not None
    assert after is not None
    assert after < before - 5


def test_nothing_is_known_without_an_answer() -> None:
    """However many frames arrive."""
    timeline = Timeline()
    assert timeline.add_frame(5.0, 10) is None
    assert timeline.bound(5.0) is None
    assert timeline.synchronised is None


def test_answers_without_a_bound() -> None:
    """They tell the lateness, but not the bound. With the first bound, what they told is forgotten."""
    timeline = Timeline()
    timeline.add_answer(answer(1_000_000.0, error=-700, bound=None))
    assert timeline.add_frame(1_000_000.0, frame_at(1_000_000.0)) is not None
    assert timeline.bound(1_000_000.0) is None
    timeline.add_answer(answer(1_000_500.0))
    assert timeline.steps == 0
    bound = timeline.bound(1_000_500.0)
    assert bound == pytest.approx(1.5, abs=0.01)
    timeline.add_answer(answer(1_001_000.0, error=-700, bound=None))
    assert timeline.bound(1_001_000.0) is None, "the worker does not know it now"
    assert timeline.steps == 0
    assert timeline.answers_without_bound == 2


@pytest.mark.parametrize("change", [5_000, -5_000])
def test_a_clock_that_is_set(change: int) -> None:
    """It is noticed by the next frame, once, whichever direction, and the lateness is right after the next answer."""
    steps = []
    timeline = Timeline(on_step=lambda: steps.append(1))
    now = 1_000_000.0
    timeline.add_answer(answer(now))
    for _ in range(3):  # as many viewers
        at = frame_at(now) + change
        if change < 0:
            timeline.clock_was_set()
        assert timeline.add_frame(now + 2, at) is None
    timeline.add_answer(answer(now + 10, error=change))
    assert timeline.steps == len(steps) == 1
    late = timeline.add_frame(now + 20, frame_at(now + 13) + change)
    assert late == pytest.approx(now + 20 + OFFSET - frame_at(now + 13), abs=2)
