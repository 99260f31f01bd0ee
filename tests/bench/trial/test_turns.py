"""The turns: one side at a time receives ticks and is measured, and never in its first half second."""

from collections.abc import Sequence

import pytest

from bench.trial.sample import Sample
from bench.trial.turns import DISCARDED_S, MEASURED_S, take_turns
from tests.bench.examples import sample

COLLECTING_S = 0.3


class FakeStage:
    """A clock, a gate, and a log of what happened: (seconds, what)."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.open: list[str] = []
        self.log: list[tuple[float, str]] = []

    def now(self) -> float:
        """The time."""
        return self.now_s

    def wait(self, seconds: float) -> None:
        """Let time pass. A wait of a negative time would be an error of the plan."""
        assert seconds >= 0
        self.now_s += seconds

    def open_gate_for(self, namespaces: Sequence[str]) -> None:
        """Change the gate."""
        self.open = list(namespaces)
        self.note(f"gate {' '.join(namespaces)}".strip())

    def note(self, what: str) -> None:
        """Record what happened."""
        self.log.append((round(self.now_s - 100, 3), what))


class FakeSide:
    """A side that records what is done to it."""

    def __init__(self, name: str, stage: FakeStage) -> None:
        self.name = name
        self.namespace = f"{name}-feed"
        self._stage = stage

    def resume(self) -> None:
        """Record it."""
        assert self._stage.open == [self.namespace]
        self._stage.note(f"{self.name} resumes")

    def begin(self, duration_s: float) -> None:
        """Record it; only the side that receives ticks is measured."""
        assert self._stage.open == [self.namespace]
        assert duration_s == MEASURED_S
        self._stage.note(f"{self.name} begins")

    def stop(self) -> None:
        """Record it; it has received ticks until now."""
        assert self._stage.open == [self.namespace]
        self._stage.note(f"{self.name} stops")

    def collect(self) -> Sample:
        """Take as long as the last frames do."""
        self._stage.note(f"{self.name} is collected")
        self._stage.wait(COLLECTING_S)
        return sample()


def take(names: Sequence[str]) -> tuple[FakeStage, dict[str, Sample]]:
    """Let sides of these names take a turn each."""
    stage = FakeStage()
    sides = [FakeSide(name, stage) for name in names]
    return stage, take_turns(sides, stage.open_gate_for, stage.wait, stage.now)


def test_two_sides_take_turns() -> None:
    """While the first one's last frames arrive, the second one's first half second passes."""
    stage, samples = take(["worker", "floor"])
    assert list(samples) == ["worker", "floor"]
    assert stage.log == [
        (0.0, "gate worker-feed"),
        (0.0, "worker resumes"),
        (0.5, "worker begins"),
        (1.5, "worker stops"),
        (1.5, "gate floor-feed"),
        (1.5, "floor resumes"),
        (1.5, "worker is collected"),
        (2.0, "floor begins"),
        (3.0, "floor stops"),
        (3.0, "gate"),
        (3.0, "floor is collected"),
    ]


def test_a_side_that_is_alone_keeps_its_ticks() -> None:
    """Nothing else needs the machine."""
    stage, samples = take(["bun"])
    assert list(samples) == ["bun"]
    assert stage.open == ["bun-feed"]
    assert [what for _, what in stage.log] == [
        "gate bun-feed",
        "bun resumes",
        "bun begins",
        "bun stops",
        "bun is collected",
    ]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_side_is_measured_for_the_same_time(count: int) -> None:
    """And waits for the same time."""
    names = [str(number) for number in range(count)]
    stage, _ = take(names)
    times = {what: seconds for seconds, what in stage.log}
    for number, name in enumerate(names):
        assert times[f"{name} begins"] == number * (DISCARDED_S + MEASURED_S) + DISCARDED_S
        assert times[f"{name} stops"] - times[f"{name} begins"] == MEASURED_S
