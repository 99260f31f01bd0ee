"""The log of a state: a line per change, limited in number, because others may cause the changes."""

import logging
import time
from collections.abc import Callable
from typing import Final

# Changes of state that are logged in a row, and seconds until one more may be logged.
BURST_LINES: Final = 10
LINE_INTERVAL_S: Final = 10.0


class StateLog:
    """Logs a state when it changes. If it changes all the time, most of the changes are not logged.

    Others may decide what the state is: for one, anyone who can publish to Redis. `now` is in seconds.
    """

    def __init__(self, logger: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self.logged = ""  # the state that was logged last
        self._logger = logger
        self._now = now
        self._lines = float(BURST_LINES)  # that may be logged
        self._counted_at = now()

    def enter(self, state: str, level: int, message: str) -> None:
        """Log a state, unless it is the one that was logged last. Call it again for as long as the state lasts."""
        if state == self.logged:
            return
        now = self._now()
        self._lines = min(BURST_LINES, self._lines + (now - self._counted_at) / LINE_INTERVAL_S)
        self._counted_at = now
        if self._lines >= 1:
            self._lines -= 1
            self.logged = state
            self._logger.log(level, message)
