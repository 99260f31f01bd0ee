"""A session: runs the scenarios and the ladders one after the other, within a time limit."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.scenarios.capacity import FULL_STEPS, STEPS, is_end, step
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.peers import PEERS
from bench.trial.figures import FLOOR, WORKER
from bench.trial.scenario import Record, Scenario, run, verdicts
from bench.trial.side import Stage

# How many steps of a ladder a subject usually needs.
USUAL_STEPS: Final = 5

# With --full, all of these climb the ladder, up to the viewers that fit into the open files of a process.
FULL_SUBJECTS: Final = (FLOOR, WORKER, "daphne", "loop", "group")


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps of one subject. At `auto` the viewers are pages, whose rate the worker chooses."""

    subject: str
    sizes: Sequence[int] = STEPS
    auto: bool = False

    @property
    def name(self) -> str:
        """The subject, and "auto" if that is the rate."""
        return f"{self.subject} auto" if self.auto else self.subject

    def steps(self) -> dict[int, Scenario]:
        """Return the scenario of each step, by its viewers."""
        return {size: step(self.subject, size, auto=self.auto) for size in self.sizes}

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return 0.0 if SUBJECTS[self.subject].missing() else USUAL_STEPS * step(self.subject, 1).seconds


def ladders(*, full: bool) -> list[Ladder]:
    """Return the ladders of a session."""
    sizes = FULL_STEPS if full else STEPS
    found = [Ladder(peer.name, sizes) for peer in PEERS]
    if full:
        found += [Ladder(subject, sizes) for subject in FULL_SUBJECTS]
        found.append(Ladder(WORKER, sizes, auto=True))
    return found


@dataclass(slots=True)
class Session:
    """What was measured: the record of each scenario by name, and of each step by ladder and viewers."""

    records: dict[str, Record] = field(default_factory=dict)
    steps: dict[str, dict[int, Record]] = field(default_factory=dict)


class Budget:
    """The time that a session has. Turns beyond the minimum must leave enough for what is still to come."""

    def __init__(self, limit_s: float, planned_s: Sequence[float], now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + limit_s
        self._planned_s = list(planned_s)

    def start_next(self) -> None:
        """Tell that the next part of the plan starts."""
        del self._planned_s[:1]

    def has_room(self) -> bool:
        """Return whether there is time for more than the rest of the plan."""
        return self._now() + sum(self._planned_s) < self._end


def measure(
    scenarios: Sequence[Scenario],
    to_climb: Sequence[Ladder],
    stage: Stage,
    limit_s: float,
    report: Callable[[str, Record], None],
) -> Session:
    """Run everything; call `report` with each part's name and record when it is finished."""
    session = Session()
    budget = Budget(limit_s, [*(one.seconds for one in scenarios), *(one.seconds for one in to_climb)])
    for scenario in scenarios:
        budget.start_next()
        session.records[scenario.name] = run(scenario, stage, budget.has_room)
        report(scenario.name, session.records[scenario.name])
    for ladder in to_climb:
        budget.start_next()
        steps: dict[int, Record] = session.steps.setdefault(ladder.name, {})
        judged = []
        for viewers, scenario in ladder.steps().items():
            steps[viewers] = run(scenario, stage, budget.has_room)
            report(scenario.name, steps[viewers])
            judged.append(verdicts(scenario, steps[viewers]))
            if is_end(judged):
                break
    return session
