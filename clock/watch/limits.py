"""The limits that the stream must meet, and whether it does."""

import argparse
import re
from typing import Final, NamedTuple

_UNITS_MS: Final = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_RATE: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")


def duration_ms(text: str) -> float:
    """Return the milliseconds of a duration such as `250ms`, `1.5s`, `10m` or `2h`.

    Raises:
        argparse.ArgumentTypeError: it is not a duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: a number above 0 with ms, s, m or h, as 250ms")
    return float(found[1]) * _UNITS_MS[found[2]]


def frames_per_second(text: str) -> float:
    """Return a number of frames per second.

    Raises:
        argparse.ArgumentTypeError: it is not a number above 0.
    """
    if not _RATE.fullmatch(text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames per second")
    return float(text)


class Measured(NamedTuple):
    """What the limits apply to: frames per second, and milliseconds. None is unknown."""

    rate: float
    gap: float
    lateness: float | None
    bound: float | None


class Verdict(NamedTuple):
    """Whether a limit holds. The limit of the rate is the lowest, the others are the highest. Unknown does not hold."""

    name: str
    limit: float
    measured: float | None
    holds: bool

    def __str__(self) -> str:
        unit = "Hz" if self.name == "min_rate" else "ms"
        measured = "unknown" if self.measured is None else f"{self.measured:.1f} {unit}"
        option = f"--{self.name.replace('_', '-')}"
        return f"{option} {self.limit:g} {unit}: measured {measured}, {'holds' if self.holds else 'does not hold'}"


class Limits(NamedTuple):
    """The limits, or None where there is none: in frames per second, and in milliseconds."""

    min_rate: float | None = None
    max_gap: float | None = None
    max_lateness: float | None = None
    max_bound: float | None = None

    def judge(self, measured: Measured) -> list[Verdict]:
        """Return a verdict for each limit that was given."""
        verdicts = []
        if self.min_rate is not None:
            verdicts.append(Verdict("min_rate", self.min_rate, measured.rate, measured.rate >= self.min_rate))
        for name, limit, found in (
            ("max_gap", self.max_gap, measured.gap),
            ("max_lateness", self.max_lateness, measured.lateness),
            ("max_bound", self.max_bound, measured.bound),
        ):
            if limit is not None:
                verdicts.append(Verdict(name, limit, found, found is not None and found <= limit))
        return verdicts
