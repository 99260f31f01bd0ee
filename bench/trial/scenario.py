"""A scenario: what happens to one or more subjects, which is repeated in turns, and the targets that it decides."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from bench.load.generator import LoadError
from bench.trial.sample import Turn
from bench.trial.side import NotPossible, Stage
from bench.trial.target import UNDECIDED, Target, Verdict, judge

TakeTurn = Callable[[], Turn]
Open = Callable[[Stage], AbstractContextManager[TakeTurn]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario.

    `open` prepares it, and gives a function that takes a turn. It takes at least `minimum` turns, and at most `maximum`
    while a target is undecided. `start_s` is about how long it takes to prepare, and `turn_s` how long a turn takes.
    `is_steady` is false if viewers or pages arrive meanwhile: then most of the CPU time does not go into frames.
    """

    name: str
    title: str
    open: Open
    targets: tuple[Target, ...] = ()
    minimum: int = 3
    maximum: int = 3
    start_s: float = 6.0
    turn_s: float = 3.2
    is_steady: bool = True

    @property
    def seconds(self) -> float:
        """About how long the minimum takes."""
        return self.start_s + self.minimum * self.turn_s


@dataclass(slots=True)
class Record:
    """The turns of a scenario. `problem` says why there are none, or no more."""

    scenario: str
    title: str
    turns: list[Turn] = field(default_factory=list)
    problem: str = ""
    is_possible: bool = True


# What may go wrong with one subject. The others are measured nevertheless.
FAILURES: Final = (AssertionError, LoadError, OSError)


def run(scenario: Scenario, stage: Stage, may_continue: Callable[[], bool]) -> Record:
    """Run a scenario until its targets are decided, and return what was measured."""
    record = Record(scenario.name, scenario.title)
    try:
        with scenario.open(stage) as take_turn:
            while len(record.turns) < scenario.maximum:
                record.turns.append(take_turn())
                if len(record.turns) >= scenario.minimum and not (is_undecided(scenario, record) and may_continue()):
                    break
    except NotPossible as lack:
        record.problem, record.is_possible = str(lack), False
    except FAILURES as error:
        record.problem = str(error) or type(error).__name__
    return record


def verdicts(scenario: Scenario, record: Record) -> list[Verdict]:
    """Return the verdicts on all targets of a scenario."""
    return [judge(target, record.turns) for target in scenario.targets]


def is_undecided(scenario: Scenario, record: Record) -> bool:
    """Return whether more turns could decide a target."""
    return any(one.verdict == UNDECIDED for one in verdicts(scenario, record))
