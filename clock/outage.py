"""What ticker and relay make of a Redis that is away: which errors mean it, how to say so, and when to try again.

And how they log a change of state: a line each, as long as others cannot fill the log with it.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# What a channel layer raises when Redis is away: refused, reset, timed out, loading, wrong password, too many clients.
AWAY: Final = (RedisError, OSError)

# Characters of what a server says that are logged.
MAX_WORDS: Final = 200

# Changes of state that are logged one after the other, and seconds for each beyond these.
LINES_AT_ONCE: Final = 10
LINE_INTERVAL: Final = 10.0


def describe(error: Exception) -> str:
    """Return an error in one line: its kind and its first line."""
    words = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "no further word")
    first_line = words[:MAX_WORDS].splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


class Backoff:
    """The pauses between attempts, in seconds: each twice the one before, from `first` up to `last`."""

    def __init__(self, first: float, last: float = 1.0) -> None:
        self._first = first
        self._last = last
        self.reset()

    def reset(self) -> None:
        """Begin with the first again."""
        self._pause = self._first

    def pause(self) -> float:
        """Return the next pause."""
        pause, self._pause = self._pause, min(self._pause * 2, self._last)
        return pause


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

    def meet(self, error: Exception) -> None:
        """Know that an attempt has failed."""
        if self.since is None:
            logger.warning("Redis is away, still trying: %s", describe(error))
            self.since = self.now()
            self._backoff.reset()
        self._retry_at = self.now() + self._backoff.pause()

    def end(self) -> None:
        """Know that an attempt has not."""
        if self.since is not None:
            logger.info("Redis is back after %.1f s", self.now() - self.since)
            self.since = None


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
