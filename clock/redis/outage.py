"""Outages of Redis: which errors mean one, how they are logged, and when to retry."""

import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from clock.process.backoff import Backoff

logger = logging.getLogger(__name__)

# The errors of a channel layer whose Redis is unavailable: connection refused or reset, timeout, loading, wrong
# password, too many clients.
UNAVAILABLE: Final = (RedisError, OSError)

# Characters of a server's error message that are logged.
MAX_ERROR_LENGTH: Final = 200


def describe(error: Exception) -> str:
    """Return an error as one line: its type and the first line of its text."""
    text = str(error) or ("timed out" if isinstance(error, TimeoutError) else "no details")
    first_line = text[:MAX_ERROR_LENGTH].splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


class Outage:
    """Records whether Redis is available. It logs one line when an outage begins and one when it ends.

    `since` is when the outage began, by `now` (monotonic, in seconds), or None while Redis is available. `count` is the
    number of outages so far.
    """

    def __init__(self, backoff: Backoff, now: Callable[[], float] = time.monotonic) -> None:
        self.since: float | None = None
        self.count = 0
        self.now = now
        self._backoff = backoff
        self._retry_at = 0.0

    def may_try(self) -> bool:
        """Return whether the pause after the last failure is over."""
        return self.since is None or self.now() >= self._retry_at

    def record_failure(self, error: Exception) -> None:
        """Record that an attempt failed."""
        if self.since is None:
            logger.warning("Redis is unavailable, retrying: %s", describe(error))
            self.since = self.now()
            self.count += 1
            self._backoff.reset()
        self._retry_at = self.now() + self._backoff.pause()

    def record_success(self) -> None:
        """Record that an attempt succeeded."""
        if self.since is not None:
            logger.info("Redis is available again after %.1f s", self.now() - self.since)
            self.since = None
