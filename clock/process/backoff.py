"""How long to wait between two attempts."""


class Backoff:
    """The pauses between attempts, in seconds: each twice the one before, from `first` up to `last`."""

    def __init__(self, first: float, last: float = 1.0) -> None:
        self._first = first
        self._last = last
        self.reset()

    def reset(self) -> None:
        """Start with the first pause again."""
        self._pause = self._first

    def pause(self) -> float:
        """Return the next pause."""
        pause, self._pause = self._pause, min(self._pause * 2, self._last)
        return pause
