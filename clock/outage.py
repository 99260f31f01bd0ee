"""What ticker and relay make of a Redis that is away: which errors mean it, how to say so, and when to try again."""

from typing import Final

from redis.exceptions import RedisError

# What a channel layer raises when Redis is away: refused, reset, timed out, loading, wrong password, too many clients.
AWAY: Final = (RedisError, OSError)


def describe(error: Exception) -> str:
    """Return an error in one line: its kind and its first line."""
    words = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "no further word")
    first_line = words.splitlines()[0]
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
