"""The load: what is learned from which interval, and what is predicted."""

import pytest

from clock.broadcast.load import INITIAL_WRITING_S, TICKS_COST, VIEWER_COST, Load, Reading


class Process:
    """A process whose totals advance second by second."""

    def __init__(self) -> None:
        self.load = Load()
        self._total = Reading(0.0, 0.0, 0.0, 0, 0, 0)
        self.load.observe(self._total)

    def run(
        self,
        seconds: int,
        *,
        frames: int,
        writing_s: float,
        cpu_s: float,
        conflated: int = 0,
    ) -> None:
        """Let seconds pass. The figures are those of each second."""
        step = Reading(1.0, cpu_s, writing_s, frames, 100 - conflated, conflated)
        for _ in range(seconds):
            self._total = Reading._make(total + change for total, change in zip(self._total, step, strict=True))
            self.load.observe(self._total)


def test_before_any_measurement() -> None:
    """The prediction is a guess, which is right for a usual machine."""
    assert Load().predict(1000, 10_000) == TICKS_COST + 1000 * VIEWER_COST + 10_000 * INITIAL_WRITING_S


def test_the_cost_of_frames_is_learned() -> None:
    """It is what they took, divided by their number."""
    process = Process()
    process.run(60, frames=40_000, writing_s=0.48, cpu_s=0.6)
    fixed = TICKS_COST + 400 * VIEWER_COST
    assert process.load.predict(400, 40_000) == pytest.approx(fixed + 0.48, rel=0.01)
    assert process.load.predict(400, 4_000) == pytest.approx(fixed + 0.048, rel=0.01)


def test_what_makes_frames_expensive_for_a_while_counts_little() -> None:
    """As a storm of handshakes does. When it is over, its effect is over within a few seconds."""
    process = Process()
    process.run(60, frames=40_000, writing_s=0.28, cpu_s=0.4)
    before = process.load.predict(400, 40_000)
    process.run(3, frames=40_000, writing_s=0.42, cpu_s=1.0)
    assert process.load.predict(400, 40_000) < before + 0.25 * (0.42 - 0.28)
    process.run(5, frames=40_000, writing_s=0.28, cpu_s=0.4)
    assert process.load.predict(400, 40_000) == pytest.approx(before, rel=0.02)


def test_little_load_teaches_nothing() -> None:
    """What a few viewers cost is mostly the cost of the tick. A crowd would seem to be impossible."""
    process = Process()
    process.run(1000, frames=100, writing_s=0.01, cpu_s=0.05)
    assert process.load.predict(0, 10_000) == Load().predict(0, 10_000)


def test_handshakes_and_page_loads_are_no_load() -> None:
    """However much of the processor they take, with many viewers or with few."""
    process = Process()
    process.run(20, frames=40_000, writing_s=0.28, cpu_s=1.0)
    assert process.load.predict(400, 40_000) == pytest.approx(0.28 + TICKS_COST + 400 * VIEWER_COST, rel=0.01)
    process.run(20, frames=100, writing_s=0.01, cpu_s=1.0)
    assert process.load.predict(400, 40_000) == pytest.approx(0.28 + TICKS_COST + 400 * VIEWER_COST, rel=0.01)
    assert process.load.current == pytest.approx(1.0)


@pytest.mark.parametrize(("conflated", "is_overrun"), [(0, False), (39, False), (41, True), (100, True)])
def test_overrun(conflated: int, is_overrun: bool) -> None:  # noqa: FBT001 - the value is the subject
    """More than a tenth of the ticks of the last four intervals was conflated. A stall of the machine is no overrun."""
    process = Process()
    process.run(10, frames=40_000, writing_s=0.3, cpu_s=0.4)
    process.run(1, frames=40_000, writing_s=0.3, cpu_s=0.4, conflated=conflated)
    assert process.load.is_overrun == is_overrun
    process.run(4, frames=40_000, writing_s=0.3, cpu_s=0.4)
    assert not process.load.is_overrun


def test_a_worker_with_little_to_do_is_not_overrun() -> None:
    """Whatever makes it late, a lower rate would not help."""
    process = Process()
    process.run(10, frames=50, writing_s=0.01, cpu_s=0.05, conflated=50)
    assert not process.load.is_overrun


def test_a_clock_that_stands_still() -> None:
    """Two readings at the same time say nothing."""
    process = Process()
    reading = Reading(0.0, 5.0, 5.0, 1000, 0, 0)
    process.load.observe(reading)
    assert process.load.current == 0
