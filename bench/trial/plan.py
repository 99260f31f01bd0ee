"""The plan: which subject goes through which scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.subjects.catalogue import SUBJECTS
from bench.subjects.subject import Subject
from bench.trial.scenarios import SCENARIOS, STALLED_LIMIT_S, START_S

# What the targets need of each subject.
NEEDED = {
    "floor": ("100", "400", "800"),
    "worker": ("0", "100", "400", "storm", "800", "stalled", "rate=10"),
    "daphne": ("100",),
    "loop": ("100",),
    "group": ("100",),
    "ws": ("400",),
    "bun": ("400",),
    "nchan": ("400",),
}

# With --full, a subject also goes through these, unless `FULL` names others for it.
FULL_DEFAULT = ("0", "1", "100", "400", "storm", "800")
FULL = {"haproxy": ("1", "100", "400")}


@dataclass(frozen=True, slots=True)
class Step:
    """One subject, started once, and its scenarios in their order."""

    subject: Subject
    scenarios: list[str]

    def seconds(self, window_s: float) -> float:
        """Return the estimated duration."""
        total = START_S
        for scenario in self.scenarios:
            total += SCENARIOS[scenario]
            total += {"storm": 0.0, "stalled": STALLED_LIMIT_S}.get(scenario, window_s)
        return total


def make_plan(
    *, full: bool = False, only: Sequence[str] = (), subjects: Sequence[Subject] = SUBJECTS
) -> tuple[list[Step], dict[str, str]]:
    """Return the steps, and the names of subjects that cannot run here with what they lack.

    `only` names subjects, scenarios, or both; if it is not empty, the plan has nothing else.
    """
    only_subjects = {subject.name for subject in subjects} & set(only)
    only_scenarios = set(SCENARIOS) & set(only)
    steps, left_out = [], {}
    for subject in subjects:
        if only_subjects and subject.name not in only_subjects:
            continue
        chosen = only_scenarios or set(NEEDED.get(subject.name, ()))
        if not only_scenarios and (full or (only_subjects and not chosen)):
            chosen |= set(FULL.get(subject.name, FULL_DEFAULT))
        if not chosen:
            continue
        if lack := subject.missing():
            left_out[subject.name] = lack
        else:
            steps.append(Step(subject, [scenario for scenario in SCENARIOS if scenario in chosen]))
    return steps, left_out
