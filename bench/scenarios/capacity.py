"""Capacity: how many viewers one core serves with a lateness of at most 25 ms, of this worker and of its peers.

A ladder has more and more viewers on each step. It ends where the subject is saturated, or the load generator is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from bench.scenarios.steady import AUTO, Crowd, steady
from bench.trial.figures import WORKER, late_ms, lost, worst_percent
from bench.trial.scenario import Scenario
from bench.trial.target import FAIL, INVALID, MET, NOT_MEASURED, UNDECIDED, Target, Verdict

CAPACITY: Final = "viewers per core at lateness p99 ≤ 25 ms"

MAX_LATE_MS: Final = 25.0
TIMES: Final = 4.0  # the target: so many times the viewers of the best peer

# The worst-off viewer of a subject that is not saturated gets this share of the published ticks: as of the worker's own
# target, 9.9 of 10 frames per second.
MIN_WORST_PERCENT: Final = 99.0

STEPS: Final = (400, 800, 1_200, 1_600, 1_800, 2_000, 2_200, 2_400)
FULL_STEPS: Final = (100, *STEPS, 3_200, 5_000, 7_000, 9_000)


# At auto a worker may choose 10 frames per second: there, only lateness and losses count.
AUTO_TARGETS: Final = (
    Target("lateness p99", partial(late_ms, side=WORKER, percent=99), MAX_LATE_MS, "{:.1f} ms"),
    Target("refused or closed", partial(lost, side=WORKER), 0, "{:.0f}", exact=True),
)


def step(subject: str, viewers: int, *, auto: bool = False) -> Scenario:
    """Return the scenario of one step: viewers at 100 frames per second, or pages at what the worker chooses."""
    late = Target("lateness p99", partial(late_ms, side=subject, percent=99), MAX_LATE_MS, "{:.1f} ms")
    worst = partial(worst_percent, side=subject)
    complete = Target("worst-off viewer", worst, MIN_WORST_PERCENT, "{:.1f} %", at_least=True, exact=True)
    crowd = Crowd(subject, viewers, AUTO if auto else "", pages=auto)
    return Scenario(
        f"{subject} {viewers}{' auto' if auto else ''}",
        f"{viewers:,} viewers{' at auto' if auto else ''}",
        partial(steady, crowds=[crowd]),
        AUTO_TARGETS if auto else (late, complete),
        minimum=3,
        maximum=6,
        start_s=6.5,
        turn_s=1.9,
    )


@dataclass(frozen=True, slots=True)
class Capacity:
    """A subject serves `served` viewers, and not `saturated` any more (infinite if that is unknown).

    `limit` says what ended the ladder, if not the subject.
    """

    served: int = 0
    saturated: float = math.inf
    limit: str = ""

    @classmethod
    def of(cls, steps: Mapping[int, Sequence[Verdict]]) -> Self:
        """Return the capacity that the verdicts on some steps show, by their viewers."""
        found = {viewers: {one.verdict for one in ones} for viewers, ones in steps.items()}
        served = max((viewers for viewers, ones in found.items() if ones <= {MET}), default=0)
        above = sorted(viewers for viewers in found if viewers > served)
        saturated = next((viewers for viewers in above if FAIL in found[viewers]), math.inf)
        reasons = [one.reason for viewers in above for one in steps[viewers] if one.verdict == INVALID]
        return cls(served, saturated, reasons[0] if reasons and saturated == math.inf else "")

    @property
    def text(self) -> str:
        """The capacity in words."""
        if self.saturated < math.inf:
            return f"{self.served:,} to {self.saturated:,.0f}"
        return f"{self.served:,} or more"


def is_end(steps: Sequence[Sequence[Verdict]]) -> bool:
    """Return whether a ladder ends after these steps.

    It does if the subject or the load generator was saturated in the last two, because a single one may have had bad
    luck; or if the subject does not run.
    """
    found = [{one.verdict for one in ones} for ones in steps]
    return NOT_MEASURED in found[-1] or (len(found) > 1 and all(ones & {FAIL, INVALID} for ones in found[-2:]))


def judge_capacity(worker: Capacity | None, peers: Mapping[str, Capacity]) -> Verdict:
    """Return the verdict on the worker's viewers per core against the best peer's."""
    what = CAPACITY
    target = f"at least {TIMES:.0f} times the best peer's"
    if worker is None or not peers:
        return Verdict(what, target, "", "-", NOT_MEASURED, "" if peers else "no peer is installed")
    best = max(peers, key=lambda name: (peers[name].served, peers[name].saturated))
    low = worker.served / max(peer.saturated for peer in peers.values())
    high = worker.saturated / max(1, peers[best].served)
    measured = f"{worker.text} viewers; {best}: {peers[best].text}"
    if low > 0:
        measured = f"at least {low:.1f} times: {measured}"
    if low >= TIMES:
        return Verdict(what, target, measured, "-", MET)
    if high < TIMES:
        return Verdict(what, target, measured, "-", FAIL)
    return Verdict(what, target, measured, "-", UNDECIDED, next((one.limit for one in peers.values() if one.limit), ""))
