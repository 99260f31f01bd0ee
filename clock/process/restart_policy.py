"""When to restart what fails, and when to give up: the same rule for tasks and for processes.

The pauses before a restart double, until what is restarted has run for a while without failing.
"""

import time
from collections.abc import Callable
from typing import Final

from clock.process.backoff import Backoff

# Seconds to run without failing, to count as healthy again.
HEALTHY_AFTER_S: Final = 10.0

# Seconds of failing restarts after which to give up.
GIVE_UP_AFTER_S: Final = 60.0


class RestartPolicy:
    """The failures of one task or process. Times are in seconds; `now` is monotonic."""

    def __init__(
        self, first_pause_s: float, longest_pause_s: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._backoff = Backoff(first_pause_s, longest_pause_s)
        self._now = now
        self._started_at = 0.0
        self._failing_since: float | None = None
        self._down_since: float | None = None  # None while it runs

    def record_start(self) -> None:
        """Note that it starts now."""
        self._started_at, self._down_since = self._now(), None

    def record_failure(self) -> float:
        """Note that it has failed now, and return the pause before the restart."""
        if not self._is_failing:
            self._failing_since = self._now()
            self._backoff.reset()
        self._down_since = self._now()
        return self._backoff.pause()

    @property
    def _is_failing(self) -> bool:
        if self._failing_since is None:
            return False
        is_healthy = self._down_since is None and self._now() - self._started_at >= HEALTHY_AFTER_S
        return not is_healthy

    def failing_for_s(self) -> float:
        """Return for how long restarts have been failing; 0 if it is healthy."""
        return self._now() - self._failing_since if self._is_failing and self._failing_since is not None else 0.0

    def should_give_up(self) -> bool:
        """Return whether restarts have been failing for too long."""
        return self.failing_for_s() >= GIVE_UP_AFTER_S
