"""What ticker and relay make of a Redis that is away: which errors mean it, how to say so, and when to try again."""

import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from clock.process.backoff import Backoff

logger = logging.getLogger(__name__)

# What a channel layer raises when Redis is away: refused, reset, timed out, loading, wrong password, too many clients.
UNAVAILABLE: Final = (RedisError, OSError)

# Characters of what a server says that are logged.
MAX_WORDS: Final = 200


def describe(error: Exception) -> str:
    """Return an error in one line: its kind and its first line."""
    words = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "no further word")
    first_line = words[:MAX_WORDS].splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


class Outage:
    """Whether Redis is away: logged when it goes and when it is back, and not between.

    `since` is when it went, by `now` (seconds), or None while it is there.
    """

    def __init__(self, backoff: Backoff, now: Callable[[], float] = time.monotonic) -> None:
        self.since: float | None = None
        self.now = now
        self._backoff = backoff
        self._retry_at = 0.0

    def may_try(self) -> bool:
        """Return whether it is time for an attempt."""
        return self.since is None or self.now() >= self._retry_at

    def record_failure(self, error: Exception) -> None:
        """Know that an attempt has failed."""
        if self.since is None:
            logger.warning("Redis is away, still trying: %s", describe(error))
            self.since = self.now()
            self._backoff.reset()
        self._retry_at = self.now() + self._backoff.pause()

    def record_success(self) -> None:
        """Know that an attempt has not."""
        if self.since is not None:
            logger.info("Redis is back after %.1f s", self.now() - self.since)
            self.since = None
