"""The fault suite: breaks each part of a running clock. Every row of its table is one or more tests.

    python -m tests.faults [--readme] [arguments of pytest]

It prints the table, and its exit code is 0 if every row passes. With `--readme`, it also writes the table to
docs/reliability.md, and the most important rows to README.md, between the markers there.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.report.machine import describe, in_words
from bench.report.tables import as_markdown, as_text, between_markers
from testbed.processes import ROOT

HEADINGS: Final = ("fault", "target", "measured", "")
README_HEADINGS: Final = ("fault", "target", "measured")


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


def write(rows: list[Row], root: Path = ROOT) -> None:
    """Write the table to the documentation, and the short one to the README."""
    machine = f"On {in_words(describe())}:"
    tables = {
        root / "docs" / "reliability.md": as_markdown(HEADINGS, [row.cells() for row in rows]),
        root / "README.md": as_markdown(README_HEADINGS, [row.readme_cells() for row in rows if row.readme]),
    }
    for path, table in tables.items():
        path.write_text(between_markers(path.read_text(), f"{machine}\n\n{table}", "faults"))


def main() -> int:
    """Run the suite; return 0 if every row passes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--readme", action="store_true", help="write the tables to docs/reliability.md and README.md")
    options, arguments = parser.parse_known_args()
    table = Table()
    code = pytest.main([str(Path(__file__).parent), *arguments], plugins=[table])
    rows = list(table.rows.values())
    print(f"\n{as_text(HEADINGS, [row.cells() for row in rows])}" if rows else "\nno row was run")
    if options.readme and rows:
        write(rows)
    return int(code) or int(not rows or any(row.verdict != "pass" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
