"""The displays without a terminal: plain lines, or one line of JSON at the end."""

from typing import Final, TextIO

from clock.watch.display.report import report_line
from clock.watch.display.rows import NOTHING, Row, line, rows
from clock.watch.summary import Summary

INTERVAL_S: Final = 1.0


class Lines:
    """A line per second, a line per event, and a table at the end."""

    interval_s = INTERVAL_S

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def update(self, summary: Summary, events: list[str]) -> None:
        """Print what has happened, and how it is now."""
        self._print(*events, line(summary))

    def end(self, summary: Summary, events: list[str]) -> None:
        """Print the whole."""
        self._print(*events, *(f"{row.label}: {_outcome(row)}" for row in rows(summary)), *map(str, summary.verdicts))

    def _print(self, *lines: str) -> None:
        self._output.write("".join(f"{line}\n" for line in lines))
        self._output.flush()


class Json:
    """The report as the only line."""

    interval_s = None

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def update(self, summary: Summary, events: list[str]) -> None:
        """Print nothing."""

    def end(self, summary: Summary, _events: list[str]) -> None:
        """Print the report."""
        self._output.write(report_line(summary) + "\n")
        self._output.flush()


def _outcome(row: Row) -> str:
    if row.total == NOTHING:
        return row.recent
    return row.total if row.recent == NOTHING else f"{row.total} (last seconds: {row.recent})"
