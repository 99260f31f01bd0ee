"""How far a long run is: what is done in lines, and on a terminal what is under way in a line that is overwritten."""

import sys
import time


class Progress:
    """Prints to standard error, with the seconds since the start and those it will take in all, as estimated."""

    def __init__(self, estimate: float) -> None:
        self._start = time.monotonic()
        self._estimate = estimate

    def doing(self, what: str) -> None:
        """Say what is under way, on a terminal."""
        if sys.stderr.isatty():
            print(f"\r\033[K{self._clock()} {what} …", end="", file=sys.stderr, flush=True)

    def done(self, what: str) -> None:
        """Say what came of it."""
        start = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{start}{self._clock()} {what}", file=sys.stderr, flush=True)

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._start:4.0f} of about {self._estimate:.0f} s]"
