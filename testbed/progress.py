"""The progress of a long run: a line for each finished step; on a terminal, also the step that is running."""

import sys
import time


class Progress:
    """Prints to standard error, with the seconds since the start and the estimated total."""

    def __init__(self, estimate: float) -> None:
        self._start = time.monotonic()
        self._estimate = estimate

    def doing(self, what: str) -> None:
        """Show the step that is running, on a terminal."""
        if sys.stderr.isatty():
            print(f"\r\033[K{self._clock()} {what} …", end="", file=sys.stderr, flush=True)

    def done(self, what: str) -> None:
        """Print the result of a step."""
        start = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{start}{self._clock()} {what}", file=sys.stderr, flush=True)

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._start:4.0f} of about {self._estimate:.0f} s]"
