"""The log of a state: a line for each change, as long as others cannot fill the log with it."""

import logging
import time
from collections.abc import Callable
from typing import Final

# Changes of state that are logged one after the other, and seconds for each beyond these.
LINES_AT_ONCE: Final = 10
LINE_INTERVAL: Final = 10.0


class StateLog:
    """Logs a state when it changes. Where it changes all the time, it is logged now and then.

    What the state is, others may decide: whoever can publish to Redis, for one. `now` is in seconds.
    """

    def __init__(self, logger: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self.logged = ""  # the state that was logged last
        self._logger = logger
        self._now = now
        self._lines = float(LINES_AT_ONCE)  # that may be logged
        self._counted_at = now()

    def enter(self, state: str, level: int, message: str) -> None:
        """Log a state, unless it is the one that was logged last; to be called again for as long as it lasts."""
        if state == self.logged:
            return
        now = self._now()
        self._lines = min(LINES_AT_ONCE, self._lines + (now - self._counted_at) / LINE_INTERVAL)
        self._counted_at = now
        if self._lines >= 1:
            self._lines -= 1
            self.logged = state
            self._logger.log(level, message)
