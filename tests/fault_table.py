"""A table of faults: what was broken, what must hold, and what was measured. Each row is one or more tests.

Tests state their row with the mark `fault(fault, target)`, and what they measured with
`record_property("measured", text)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.report.machine import describe, in_words
from bench.report.tables import as_markdown, as_text, between_markers

HEADINGS: Final = ("what happens", "target", "measured", "")


@dataclass
class Row:
    """A row of the table: all tests with the same mark."""

    fault: str
    target: str
    readme: bool
    measured: list[str] = field(default_factory=list)
    verdict: str = "pass"

    @classmethod
    def of(cls, mark: pytest.Mark) -> "Row":
        """Return the row of a mark."""
        fault, target = mark.args
        return cls(fault, target, bool(mark.kwargs.get("readme", False)))

    def add(self, report: pytest.TestReport) -> None:
        """Add the result of a test. The row passes if all of its tests do. One that is repeated does not count."""
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # of pytest-rerunfailures
            return
        measured = [str(value) for name, value in report.user_properties if name == "measured"]
        if measured and measured[-1] not in self.measured:
            self.measured.append(measured[-1])
        if not report.passed:
            self.verdict = "skipped" if report.skipped else "FAIL"

    def cells(self) -> list[str]:
        """Return the cells of the row."""
        return [self.fault, self.target, "; ".join(self.measured) or "-", self.verdict]

    def readme_cells(self) -> list[str]:
        """Return the cells of the row in the README."""
        return [self.fault, self.target, "; ".join(self.measured) if self.verdict == "pass" else self.verdict]


class Table:
    """A plugin of pytest that collects the rows."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._marks: dict[str, pytest.Mark] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which row each test belongs to."""
        marks = {item.nodeid: item.get_closest_marker("fault") for item in session.items}
        self._marks = {name: mark for name, mark in marks.items() if mark is not None}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the result of a test, and a failure before or after it."""
        mark = self._marks.get(report.nodeid)
        if mark is not None and (report.when == "call" or not report.passed):
            self.rows.setdefault(mark.args[0], Row.of(mark)).add(report)


def write(rows: Sequence[Row], document: Path, marker: str) -> None:
    """Write the rows to a document, between the markers of that name."""
    table = f"On {in_words(describe())}:\n\n{as_markdown(HEADINGS, [row.cells() for row in rows])}"
    document.write_text(between_markers(document.read_text(), table, marker))


def run(folder: Path, arguments: Sequence[str], document: Path | None, marker: str) -> int:
    """Run the tests in a folder and print their table. With a document, write it there, too. Return the exit code."""
    table = Table()
    code = pytest.main([str(folder), *arguments], plugins=[table])
    rows = list(table.rows.values())
    print(f"\n{as_text(HEADINGS, [row.cells() for row in rows])}" if rows else "\nno row was run")
    if document is not None and rows:
        write(rows, document, marker)
    return int(code) or int(any(row.verdict == "FAIL" for row in rows))
