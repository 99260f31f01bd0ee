"""The balance: which worker gets a new connection.

It is the ready worker with the fewest viewers. A worker's reports are a moment old, so connections that it has not
received by its last report count as viewers, too. On each of them the first request decides: a connection of a
WebSocket counts for as long as it is open, and one of a page or a probe no longer.
"""

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from tournament.processes.link import Report

# Seconds between two checks of the workers. A worker's silence is counted in checks, not by the clock: a supervisor
# that stood still itself must not blame its workers.
CHECK_INTERVAL_S: Final = 0.1

# Seconds without a report, after which a worker gets nothing more. It sends five a second.
SILENT_AFTER_S: Final = 1.0


class Standing:
    """What the supervisor knows of one worker."""

    def __init__(self) -> None:
        self.report: Report | None = None  # None while it starts
        self.sent = 0  # connections, since the worker started
        self.is_retired = False  # it gets nothing more, whatever it reports
        self.last_turn = 0  # when it got a connection last, counted in connections
        self._checks_without_report = 0

    def record(self, report: Report) -> None:
        """Note a report that has just arrived."""
        self.report = report
        self._checks_without_report = 0

    def check(self) -> None:
        """Note that another `CHECK_INTERVAL_S` seconds have passed."""
        self._checks_without_report += 1

    @property
    def silent_s(self) -> float:
        """Seconds since the last report, or since the start."""
        return self._checks_without_report * CHECK_INTERVAL_S

    @property
    def is_silent(self) -> bool:
        """Whether it has stopped reporting."""
        return self.report is not None and self.silent_s >= SILENT_AFTER_S

    @property
    def is_live(self) -> bool:
        """Whether it may get connections: it reports, and it has not been told to end, nor ends by itself."""
        return self.report is not None and self.report.is_open and not self.is_silent and not self.is_retired

    @property
    def is_ready(self) -> bool:
        """Whether it should get new viewers."""
        return self.is_live and self.report is not None and self.report.is_ready

    @property
    def load(self) -> int:
        """Its viewers, and the connections that have been sent to it since."""
        return self.sent if self.report is None else self.report.viewers + self.sent - self.report.received


class Candidate(Protocol):
    """A worker."""

    @property
    def standing(self) -> Standing:
        """What is known of it."""


C = TypeVar("C", bound=Candidate)


def in_order(candidates: Iterable[C]) -> list[C]:
    """Return the workers that may get the next connection, the best one first.

    These are the ready ones, by their load. If none is ready, they are the live ones: a worker that is full or has no
    ticks tells its clients so. Of equals the one that has waited longest comes first, so that requests that leave no
    viewer are spread as well.
    """
    live = [one for one in candidates if one.standing.is_live]
    best = [one for one in live if one.standing.is_ready] or live
    return sorted(best, key=lambda one: (one.standing.load, one.standing.last_turn))
