"""A target: a figure of a scenario and its limit, and the verdict on it.

The verdict is "pass" or "FAIL" only if the whole interval of the figure lies on one side of the limit. Otherwise it is
"undecided", and more turns can decide it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.trial.bootstrap import Interval, interval
from bench.trial.figures import FLOOR, Turns
from bench.trial.sample import Sample

MET: Final = "pass"
FAIL: Final = "FAIL"
UNDECIDED: Final = "undecided"
INVALID: Final = "invalid"
NOT_MEASURED: Final = "not measured"

Figure = Callable[[Turns], float]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its limit.

    `form` formats figures and the limit; `{}` stands for the value. The limit is a maximum unless `at_least`. An
    `exact` figure is a count over all turns, which has no interval. `floor` is the floor's figure of the same turns,
    formatted by `floor_form`. A lag of the load generator of up to `max_lag_ms` does not matter.
    """

    what: str
    figure: Figure
    limit: float
    form: str
    at_least: bool = False
    exact: bool = False
    floor: Figure | None = None
    floor_form: str = ""
    max_lag_ms: float = 5.0

    @property
    def text(self) -> str:
        """The limit as text."""
        return f"at {'least' if self.at_least else 'most'} {self.form.format(self.limit)}"

    def interval(self, turns: Turns) -> Interval:
        """Return the interval of the figure."""
        if self.exact:
            return Interval(self.figure(turns), self.figure(turns))
        return interval(self.figure, turns)

    def is_met(self, value: float) -> bool:
        """Return whether a value is on the right side of the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a target. `reason` says why the figure alone does not decide it."""

    what: str
    target: str
    measured: str
    floor: str
    verdict: str
    reason: str = ""


def judge(target: Target, turns: Turns) -> Verdict:
    """Judge a target by its turns."""
    if not turns:
        return Verdict(target.what, target.text, "", "", NOT_MEASURED)
    figure, (low, high) = target.figure(turns), target.interval(turns)
    measured = target.form.format(figure)
    if not target.exact and math.isfinite(high - low):
        measured += f" ({_number(target.form, low)} to {_number(target.form, high)})"
    floor = target.floor(turns) if target.floor is not None else math.nan
    floor_text = "-" if math.isnan(floor) else (target.floor_form or target.form).format(floor)
    verdict, reason = _verdict(
        target, turns, {target.is_met(low), target.is_met(high)}, is_known=not math.isnan(figure)
    )
    return Verdict(target.what, target.text, measured, floor_text, verdict, reason)


def _verdict(target: Target, turns: Turns, met: set[bool], *, is_known: bool) -> tuple[str, str]:
    if wrong := _first(turns, lambda side, sample: sample.errors if side != FLOOR else ""):
        return FAIL, wrong
    if problem := _problem(target, turns, is_known=is_known):
        return INVALID, problem
    if met == {True}:
        return MET, ""
    if lag := _in_most(turns, lambda sample: _lag(sample, target.max_lag_ms)):
        return INVALID, lag
    return (FAIL if met == {False} else UNDECIDED), ""


def _problem(target: Target, turns: Turns, *, is_known: bool) -> str:
    """Return why the figure says nothing about the subject; empty if it does."""
    # Errors of the floor do not count against the subject, but they make the comparison meaningless.
    wrong = (
        _first(turns, lambda side, sample: sample.errors if side == FLOOR else "") if target.floor is not None else ""
    )
    return (
        _in_most(turns, lambda sample: sample.saturation)
        or (wrong and f"the floor: {wrong}")
        or ("" if is_known else "nothing to compare with")
    )


def _lag(sample: Sample, max_lag_ms: float) -> str:
    """Return a text if the load generator lagged too much: the subject was better than the figures say."""
    return f"the load generator read frames up to {sample.lag_ms:.1f} ms late" if sample.lag_ms > max_lag_ms else ""


def _in_most(turns: Turns, text_of: Callable[[Sample], str]) -> str:
    """Return the first text, if most of the turns have one."""
    found = [text for turn in turns if (text := next(filter(None, map(text_of, turn.values())), ""))]
    return found[0] if len(found) > len(turns) / 2 else ""


def _first(turns: Turns, text_of: Callable[[str, Sample], str]) -> str:
    return next((text for turn in turns for side, sample in turn.items() if (text := text_of(side, sample))), "")


def _number(form: str, value: float) -> str:
    """Return the number alone, without its unit."""
    return form[: form.index("}") + 1].format(value)
