"""The documents show the results of the last run, and the tables can be read back."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.report import documents, tables
from bench.report.chart import Line, chart, grid_values
from bench.report.results import TARGET_HEADINGS, Results, summary_rows, target_rows
from bench.report.targets import TARGETS
from testbed.processes import ROOT
from tests.bench.report.examples import NEEDED, REPETITIONS, passing, results

MARKERS = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"


def table_rows(markdown: str) -> list[list[str]]:
    """Return the rows of all tables in a text, with their headings."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return [row for row in rows if set("".join(row)) != {"-"}]


def test_a_markdown_table_has_every_cell() -> None:
    """They can be read back."""
    rows = target_rows(results().verdicts)
    markdown = tables.as_markdown(TARGET_HEADINGS, rows)
    assert table_rows(markdown) == [list(TARGET_HEADINGS), *(list(row) for row in rows)]


def test_a_text_table_aligns_numbers_right() -> None:
    """And words left."""
    assert tables.as_text(("what", "ms"), [["one", "1.5"], ["three", "10.25"]]).splitlines() == [
        "what      ms",
        "one      1.5",
        "three  10.25",
    ]


def test_only_the_text_between_the_markers_is_replaced() -> None:
    """Replacing it again changes nothing; a text without markers is an error."""
    once = tables.between_markers(MARKERS, "new", "bench")
    assert once == "before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n"
    assert tables.between_markers(once, "new", "bench") == once
    with pytest.raises(ValueError, match="<!-- bench -->"):
        tables.between_markers("no markers", "new", "bench")


def test_a_run_writes_data_charts_and_both_texts(tmp_path: Path) -> None:
    """The data can be read back; README.md has a short table, and docs/benchmarks.md has everything."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/benchmarks.md"):
        (tmp_path / name).write_text(MARKERS)
    written = documents.write(tmp_path, results())
    assert Results.from_json((tmp_path / "docs" / "bench.json").read_text()) == results()
    full, short = (tmp_path / "docs" / "benchmarks.md").read_text(), (tmp_path / "README.md").read_text()
    measured = sum(len(scenarios) for scenarios in NEEDED.values())
    assert len(table_rows(full)) == 1 + len(TARGETS) + 1 + measured
    assert "Not measured: two workers behind HAProxy: it needs haproxy." in full
    assert len(table_rows(short)) == 1 + len(summary_rows(results())) <= 8
    assert "18 of 18 targets are met" in short
    for path in written:
        if path.suffix == ".svg":
            root = ET.fromstring(path.read_text())  # noqa: S314 - it is our own
            labels = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
            assert {"100", "400", "800"} <= labels


def test_the_summary_has_dashes_for_what_was_not_measured() -> None:
    """Bun, for example, is optional."""
    incomplete = Results({}, 8.0, REPETITIONS, {}, [one for one in passing() if one.subject != "bun"])
    assert ["lateness, 400 clients", "p50 4.0 ms, p99 9.0 ms (Bun: p50 - ms, p99 - ms)"] in summary_rows(incomplete)


def test_the_documents_in_git_show_the_last_run() -> None:
    """Everything between the markers comes from docs/bench.json. If this fails, run `python -m bench --render`."""
    last = Results.from_json((ROOT / "docs" / "bench.json").read_text())
    for path, text in (
        (ROOT / "docs" / "benchmarks.md", documents.full_text(last)),
        (ROOT / "README.md", documents.short_text(last)),
    ):
        before = path.read_text()
        assert tables.between_markers(before, text, documents.MARKER) == before
    assert (ROOT / "docs" / "bench-cpu.svg").read_text() == documents.cpu_chart(last)
    assert (ROOT / "docs" / "bench-lateness.svg").read_text() == documents.lateness_chart(last)


@pytest.mark.parametrize("points", [[], [(100.0, 5.0)], [(1.0, 0.0), (100.0, float("inf")), (400.0, 3.0)]])
def test_a_chart_is_well_formed_with_any_points(points: list[tuple[float, float]]) -> None:
    """Without points, with values that have no logarithm, and with texts that XML must escape."""
    ET.fromstring(chart('<"&>', "µs", [Line("a < b & c", points, colour=99)]))  # noqa: S314 - it is our own


def test_the_grid_encloses_the_values() -> None:
    """With 1, 2 and 5 times powers of ten."""
    assert grid_values(3.0, 12.0) == [2.0, 5.0, 10.0, 20.0]
    assert grid_values(1.0, 1.0) == [1.0, 2.0]
