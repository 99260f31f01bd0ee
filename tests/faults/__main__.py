"""The fault suite: every row of the table is a test; prints the table, and exits by it.

    python -m tests.faults [--readme] [pytest's own arguments]

With `--readme` the table also goes into the README, between its markers.
"""

import argparse
import sys
from pathlib import Path

import pytest

from bench.report.machine import describe, in_words
from bench.report.tables import as_markdown, as_text, between_markers
from testbed.processes import ROOT

HEADINGS = ("fault", "target", "measured", "")


class Table:
    """A plugin of pytest's: a row for each test that is marked as one."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]):  # noqa: ANN201 - a generator
        """Note what became of a row; a failure before or after the test itself is one, too."""
        report = yield
        mark = item.get_closest_marker("fault")
        if mark is not None and (call.when == "call" or not report.passed):
            measured = dict(report.user_properties).get("measured", "-")
            # A test with parameters is one row: it passes where all of them do.
            before = self.rows.get(mark.args[0])
            verdict = "pass" if report.passed and (before is None or before[3] == "pass") else "FAIL"
            words = [str(measured)] if before is None or before[2] == measured else [before[2], str(measured)]
            self.rows[mark.args[0]] = [*mark.args, "; ".join(words), "skipped" if report.skipped else verdict]
        return report


def main() -> int:
    """Run the suite; return 0 if every row holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--readme", action="store_true", help="put the table into the README")
    options, arguments = parser.parse_known_args()
    table = Table()
    code = pytest.main([str(Path(__file__).parent), *arguments], plugins=[table])
    rows = list(table.rows.values())
    print(f"\n{as_text(HEADINGS, rows)}" if rows else "\nno row was run")
    if options.readme and rows:
        readme = ROOT / "README.md"
        text = f"On {in_words(describe())}:\n\n{as_markdown(HEADINGS, rows)}"
        readme.write_text(between_markers(readme.read_text(), text, "faults"))
    return int(code) or int(not rows or any(row[3] != "pass" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
