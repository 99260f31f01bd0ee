"""A token bucket: a rate limit that allows a burst."""

import time
from collections.abc import Callable


class TokenBucket:
    """Allows `rate` events a second on average, and up to a second's worth at once. A rate of 0 sets no limit."""

    __slots__ = ("_filled_at", "_now", "_rate", "_tokens")

    def __init__(self, rate: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._tokens = float(rate)
        self._filled_at = now()

    def take(self) -> bool:
        """Take a token; or return False if there is none."""
        if not self._rate:
            return True
        now = self._now()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
