"""The fault suite: breaks each part of a running clock. Every row of its table is one or more tests.

    python -m tests.faults [--readme] [arguments of pytest]

It prints the table, and its exit code is 0 if every row passes. With `--readme`, it also writes the table to
docs/reliability.md, and the most important rows to README.md, between the markers there.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import pytest

from bench.report.machine import describe, in_words
from bench.report.tables import as_markdown, as_text, between_markers
from testbed.processes import ROOT
from tests.fault_table import Row, Table

HEADINGS: Final = ("fault", "target", "measured", "")
README_HEADINGS: Final = ("fault", "target", "measured")


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
