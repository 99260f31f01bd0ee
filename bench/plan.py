"""The plan: which subject goes through which scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.scenarios import SCENARIOS, STALLED_LIMIT, START_SECONDS
from bench.subjects import SUBJECTS, Subject

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

# With --full: every subject goes through these as well, but for those that have a plan of their own.
EVERYWHERE = ("0", "1", "100", "400", "storm", "800")
FULL = {"haproxy": ("1", "100", "400")}


@dataclass(frozen=True, slots=True)
class Step:
    """One subject, started once, with the scenarios that it goes through in their order."""

    subject: Subject
    scenarios: list[str]

    def seconds(self, window: float) -> float:
        """Return how long it takes, as estimated, with windows of so many seconds."""
        total = START_SECONDS
        for scenario in self.scenarios:
            total += SCENARIOS[scenario]
            total += {"storm": 0.0, "stalled": STALLED_LIMIT}.get(scenario, window)
        return total


def make_plan(*, full: bool = False, only: Sequence[str] = ()) -> tuple[list[Step], dict[str, str]]:
    """Return the steps, and the subjects that are left out with the reason why.

    `only` has names of subjects, of scenarios, or of both: what it does not name is not done.
    """
    subjects = {subject.name for subject in SUBJECTS} & set(only)
    scenarios = set(SCENARIOS) & set(only)
    steps, left_out = [], {}
    for subject in SUBJECTS:
        if subjects and subject.name not in subjects:
            continue
        chosen = scenarios or set(NEEDED.get(subject.name, ()))
        if not scenarios and (full or (subjects and not chosen)):
            chosen |= set(FULL.get(subject.name, EVERYWHERE))
        if not chosen:
            continue
        if why := subject.missing():
            left_out[subject.name] = why
        else:
            steps.append(Step(subject, [one for one in SCENARIOS if one in chosen]))
    return steps, left_out
