"""The documents show the results of the last run, and the tables can be read back."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.report import documents, tables
from bench.report.chart import Line, chart, grid_values
from bench.report.results import Results, compute, reason, remark
from bench.report.rows import TARGET_HEADINGS, summary_rows, target_rows
from bench.scenarios.capacity import CAPACITY
from bench.scenarios.session import Session
from bench.scenarios.targets import PAGES_9000, SUMMARY
from bench.trial.scenario import Record
from bench.trial.target import FAIL, MET, NOT_MEASURED
from testbed.processes import ROOT
from tests.bench.examples import connected, sample

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


def session() -> Session:
    """Return a session that measured one scenario and two steps of a ladder, and could not measure another scenario."""
    turn = {"worker": sample(400), "floor": sample(400, cpu_us=5.0)}
    auto = [{"worker": sample(9000, rate=10), "floor": sample(9000, rate=10)}] * 3
    return Session(
        records={
            "800": Record("800", "800 viewers at 100 frames/s", [turn] * 4),
            "9000 auto": Record("9000 auto", "9,000 pages at auto", auto),
            "crowded page": Record("crowded page", "a page in Chromium", [], "there is no Chromium", is_possible=False),
        },
        steps={
            "bun": {
                400: Record("bun 400", "400 viewers", [{"bun": sample(400)}] * 3),
                800: Record("bun 800", "800 viewers", [{"bun": sample(800, late_ms=60.0)}] * 3),
            }
        },
    )


def results() -> Results:
    """Return its results."""
    machine: dict[str, str | int] = {"processor": "one", "cores": 2, "kernel": "Linux", "python": "3"}
    return compute(session(), machine, 14.6)


def test_the_results_have_verdicts_figures_and_points() -> None:
    """Of what was measured; what was not has a reason."""
    one = results()
    verdicts = {verdict.what: verdict for verdict in one.verdicts}
    assert verdicts["800 viewers at 100 frames/s: CPU per frame"].measured == "1.200 times the floor's (1.200 to 1.200)"
    assert verdicts["800 viewers at 100 frames/s: CPU per frame"].verdict == FAIL
    assert verdicts["9,000 pages at auto: lateness p99"].verdict == MET
    assert verdicts["a page with 8,999 others: its ±"].verdict == NOT_MEASURED
    assert verdicts[CAPACITY].measured == "at least 11.2 times: 9,000 or more viewers; Bun 1.4.5: 400 to 800"
    assert [(row.scenario, row.side, row.turns) for row in one.rows] == [
        ("800 viewers at 100 frames/s", "worker", 4),
        ("800 viewers at 100 frames/s", "floor", 4),
        ("9,000 pages at auto, with their probes", "worker", 3),
        ("9,000 pages at auto, with their probes", "floor", 3),
    ]
    assert one.rows[0].cpu_times_floor == [1.2] * 4
    assert {title: [point.viewers for point in points] for title, points in one.points.items()} == {
        "this worker at auto": [9000],
        "this worker": [400],  # the others were refused
        "the floor: a bare loop of `send`": [400],
        "Bun 1.4.5": [400, 800],
    }
    assert one.not_measured == {"a page in Chromium, with 8,999 others on its worker": "there is no Chromium"}


def test_a_remark_has_what_has_no_column() -> None:
    """Shares of several programs, waits, figures of one scenario only, the time to connect, and the first error."""
    first, second = sample(400), sample(400)
    for one in (first, second):
        one.cpu_ns = {"worker": 200_000_000, "haproxy": 700_000_000}
        one.values = {"pages_seconds": 2.5}
        one.waited_s = 0.2
        one.connect = connected(399, 1.25, {"no 101 in time": 1})
    assert remark([{"haproxy-tcp": first}, {"haproxy-tcp": second}], "haproxy-tcp") == (
        "connected after 1.25 s, worker 20 % of a core, haproxy 70 % of a core, "
        "ready but waiting for a core for 20 % of the time, pages seconds 2.5, no 101 in time (1)"
    )
    assert remark([{"worker": sample()}], "worker") == ""


def test_of_what_a_program_printed_the_last_line_says_what_is_wrong() -> None:
    """The rest is on the terminal."""
    assert reason(Record("", "", problem="usage: server\n  ...\nerror: no such option: --processes\n")) == (
        "error: no such option: --processes"
    )


def test_a_run_writes_data_charts_and_both_texts(tmp_path: Path) -> None:
    """The data can be read back; README.md has a short table, and docs/benchmarks.md has everything."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/benchmarks.md"):
        (tmp_path / name).write_text(MARKERS)
    written = documents.write(tmp_path, results())
    assert Results.from_json((tmp_path / "docs" / "bench.json").read_text()) == results()
    full, short = (tmp_path / "docs" / "benchmarks.md").read_text(), (tmp_path / "README.md").read_text()
    assert len(table_rows(full)) == 1 + len(results().verdicts) + 1 + len(results().rows)
    assert "Not measured: a page in Chromium, with 8,999 others on its worker: there is no Chromium." in full
    assert [row[0] for row in table_rows(short)[1:]] == [
        "800 viewers at 100 frames/s: CPU per frame",
        *(target.what for target in PAGES_9000),
        CAPACITY,
    ]
    assert "7 of 10 targets are met" in short
    for path in written:
        if path.suffix == ".svg":
            root = ET.fromstring(path.read_text())  # noqa: S314 - it is our own
            labels = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
            assert {"400", "800", "9000"} <= labels


def test_the_summary_says_what_was_not_met() -> None:
    """The others need no word."""
    rows = {row[0]: row[2] for row in summary_rows(results().verdicts)}
    assert rows["800 viewers at 100 frames/s: CPU per frame"].endswith(": FAIL")
    assert rows["9,000 pages at auto: lateness p99"].endswith("ms (4.0 to 4.0)")
    assert SUMMARY | {CAPACITY} >= rows.keys()


def test_the_documents_in_git_show_the_last_run() -> None:
    """Everything between the markers comes from docs/bench.json. If this fails, run `python -m bench --render`."""
    last = Results.from_json((ROOT / "docs" / "bench.json").read_text())
    for path, text in (
        (ROOT / "docs" / "benchmarks.md", documents.full_text(last)),
        (ROOT / "README.md", documents.short_text(last)),
    ):
        before = path.read_text()
        assert tables.between_markers(before, text, documents.MARKER) == before
    assert (ROOT / "docs" / documents.FRAMES).read_text() == documents.frames_chart(last)
    assert (ROOT / "docs" / documents.LATENESS).read_text() == documents.lateness_chart(last)


def test_without_results_the_documents_say_how_to_get_them() -> None:
    """Rather than to show an empty table."""
    assert documents.full_text(Results()) == documents.short_text(Results()) == documents.NOTHING


@pytest.mark.parametrize("points", [[], [(100.0, 5.0)], [(1.0, 0.0), (100.0, float("inf")), (400.0, 3.0)]])
def test_a_chart_is_well_formed_with_any_points(points: list[tuple[float, float]]) -> None:
    """Without points, with values that have no logarithm, and with texts that XML must escape."""
    ET.fromstring(chart('<"&>', "µs", [Line("a < b & c", points, colour=99)]))  # noqa: S314 - it is our own


def test_labels_that_would_overlap_are_omitted() -> None:
    """The ticks of the axis stay."""
    points = [(float(viewers), 1.0) for viewers in (100, 2000, 2100, 9000)]
    root = ET.fromstring(chart("x", "ms", [Line("one", points, colour=0)]))  # noqa: S314 - it is our own
    labels = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"100", "2000", "9000"} <= set(labels)
    assert "2100" not in labels


def test_the_grid_encloses_the_values() -> None:
    """With 1, 2 and 5 times powers of ten."""
    assert grid_values(3.0, 12.0) == [2.0, 5.0, 10.0, 20.0]
    assert grid_values(1.0, 1.0) == [1.0, 2.0]
