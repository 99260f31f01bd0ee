"""The ticker's timeline: what the ticker's clock shows by this machine's monotonic clock, and how far off that may be.

Answers of `/clock/now` bound the offset from both sides, and each frame from one side, as on the page
(clock/static/clock/time/estimate.js). All times are milliseconds: `now`, `sent`, `received` are monotonic, `at` is the
ticker's.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from clock.redis.comparison import OffsetInterval


class Answer(NamedTuple):
    """An answer of `/clock/now`: the ticker's time was `at` ± `bound` at some moment from `sent` to `received`.

    `bound` is None while the worker does not know it. `synchronised` is None if the ticker's host does not say.
    `version` is that of the page, and empty if it is not known.
    """

    sent: float
    received: float
    at: float
    bound: float | None
    synchronised: bool | None
    version: str = ""


class Timeline:
    """Converts times of this machine to the ticker's. `on_step` is called when a clock was set: ask again."""

    def __init__(self, on_step: Callable[[], None] = lambda: None) -> None:
        self.steps = 0  # how often a clock was set
        self.answers = 0
        self.answers_without_bound = 0
        self.highest_answer_bound: float | None = None  # that a worker stated
        self.synchronised: bool | None = None
        self.versions: list[str] = []  # of the page, in the order in which they were seen
        self._interval = OffsetInterval()
        self._is_bounded = False  # whether the interval contains the ticker's clock for certain
        self._has_bound_now = False  # whether the last answer had a bound
        self._on_step = on_step

    def add_answer(self, answer: Answer) -> None:
        """Narrow the offset. An answer without a bound proves nothing, so it counts only for want of a better one."""
        self.answers += 1
        self.synchronised = answer.synchronised
        if answer.version and answer.version not in self.versions:
            self.versions.append(answer.version)
        self._has_bound_now = answer.bound is not None
        if answer.bound is None:
            self.answers_without_bound += 1
            if not self._is_bounded:
                self._interval.add_round_trip(answer.sent, answer.received, answer.at)
            return
        self.highest_answer_bound = max(answer.bound, self.highest_answer_bound or 0.0)
        if not self._is_bounded:  # what was learned without a bound may be wrong
            self._interval, self._is_bounded = OffsetInterval(), True
        if not self._interval.add_round_trip(answer.sent, answer.received, answer.at, error=answer.bound):
            self._step()

    def add_frame(self, received: float, at: int) -> float | None:
        """Return how late a frame arrived, after its due time on the ticker's clock; None while that is unknown."""
        if self._is_bounded and not self._interval.add_arrival(received, at):
            self._step()
        offset, margin = self._interval.read(received)
        return received + offset - at if math.isfinite(margin) else None

    def bound(self, now: float) -> float | None:
        """Return how far off the timeline may be, or None if that is unknown."""
        _, margin = self._interval.read(now)
        return margin if self._is_bounded and self._has_bound_now and math.isfinite(margin) else None

    def clock_was_set(self) -> None:
        """Forget the offset: a frame was not newer than the one before on the same connection."""
        if math.isfinite(self._interval.read(0.0)[1]):  # else another viewer has noticed it before
            self._interval = OffsetInterval()
            self._step()

    def _step(self) -> None:
        self.steps += 1
        self._on_step()
