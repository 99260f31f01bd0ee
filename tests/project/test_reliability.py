"""docs/reliability.md has the rows of the fault suite."""

import importlib
import inspect
from collections.abc import Iterator

import pytest

from testbed.processes import ROOT
from tests.fault_table import Row
from tests.faults.__main__ import HEADINGS, README_HEADINGS, write

BEGIN, END = "<!-- faults -->", "<!-- /faults -->"

DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()


def rows_of_the_suite() -> Iterator[Row]:
    """Yield the row of each mark in the suite's tests."""
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        module = importlib.import_module(f"tests.faults.{path.stem}")
        for _, function in inspect.getmembers(module, inspect.isfunction):
            for mark in getattr(function, "pytestmark", []):
                if mark.name == "fault":
                    yield Row.of(mark)


def table_in(text: str) -> list[list[str]]:
    """Return the rows of the table between the markers, without its headings."""
    between = text.partition(BEGIN)[2].partition(END)[0]
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in between.splitlines() if "|" in line]
    return rows[2:]


def test_the_documented_rows_are_those_of_the_suite() -> None:
    """Every fault and its target are documented, and no others."""
    documented = {(row[0], row[1]) for row in table_in(DOCUMENT)}
    assert documented == {(row.fault, row.target) for row in rows_of_the_suite()}


def test_every_documented_row_passed() -> None:
    """A table with a failure is not committed."""
    assert {row[3] for row in table_in(DOCUMENT)} == {"pass"}


def test_the_readme_gets_at_most_seven_rows() -> None:
    """The README shows the most important ones."""
    assert 0 < len({row.fault for row in rows_of_the_suite() if row.readme}) <= 7


def test_a_repeated_test_counts_once() -> None:
    """What it measured the last time counts: the machine was disturbed before."""
    row = Row("one", "1 s", readme=False)
    measured = [("measured", "9 s")]
    place = ("tests/faults/test_one.py", 1, "test_one")
    row.add(pytest.TestReport("test_one", place, {}, "rerun", None, "call", user_properties=measured))  # type: ignore[arg-type]
    measured = [*measured, ("measured", "1 s")]
    row.add(pytest.TestReport("test_one", place, {}, "passed", None, "call", user_properties=measured))
    assert row.cells() == ["one", "1 s", "1 s", "pass"]


def test_the_suite_writes_both_tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The whole table goes to docs/reliability.md, the short one to README.md, between the markers."""
    root = tmp_path_factory.mktemp("project")
    (root / "docs").mkdir()
    for path in (root / "docs" / "reliability.md", root / "README.md"):
        path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rows = [Row("one", "1 s", readme=True, measured=["0.5 s", "0.6 s"]), Row("two", "2 s", readme=False)]
    write(rows, root)
    texts = [path.read_text() for path in (root / "docs" / "reliability.md", root / "README.md")]
    assert table_in(texts[0]) == [["one", "1 s", "0.5 s; 0.6 s", "pass"], ["two", "2 s", "-", "pass"]]
    assert table_in(texts[1]) == [["one", "1 s", "0.5 s; 0.6 s"]]
    for text, headings in zip(texts, (HEADINGS, README_HEADINGS), strict=True):
        assert "| " + " | ".join(headings) + " |" in text
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "old" not in text
