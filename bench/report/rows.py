"""The rows of the tables."""

import statistics
from collections.abc import Iterable
from typing import Final

from bench.report.results import Results, Row
from bench.report.tables import Rows
from bench.scenarios.capacity import CAPACITY
from bench.scenarios.targets import SUMMARY
from bench.subjects.catalogue import SUBJECTS
from bench.trial.target import MET, NOT_MEASURED, Verdict

TARGET_HEADINGS: Final = ("what", "target", "measured (95 % interval)", "the floor", "verdict")
HEADINGS: Final = (
    "scenario",
    "subject",
    "turns",
    "frames/s, worst-off viewer",
    "CPU µs per frame",
    "times the floor",
    "CPU % of a core",
    "late p50 ms",
    "late p99 ms",
    "largest gap ms",
    "probes p99 ms",
    "memory MiB",
    "load generator %",
    "remark",
)
SUMMARY_HEADINGS: Final = ("what", "target", "measured")


def target_rows(verdicts: Iterable[Verdict]) -> Rows:
    """Return a row under `TARGET_HEADINGS` for each target."""
    return [
        [
            one.what,
            one.target,
            one.measured or "-",
            one.floor or "-",
            one.verdict + (f": {one.reason}" if one.reason else ""),
        ]
        for one in verdicts
    ]


def summary_rows(verdicts: Iterable[Verdict]) -> Rows:
    """Return a row under `SUMMARY_HEADINGS` for the most important targets; those that are not met say so."""
    return [
        [one.what, one.target, one.measured + ("" if one.verdict == MET else f": {one.verdict}")]
        for one in verdicts
        if one.verdict != NOT_MEASURED and one.what in {CAPACITY, *SUMMARY}
    ]


def count_line(verdicts: Iterable[Verdict]) -> str:
    """Return how many targets are met."""
    judged = list(verdicts)
    return f"{sum(one.verdict == MET for one in judged)} of {len(judged)} targets are met"


def figure_rows(results: Results) -> Rows:
    """Return a row under `HEADINGS` for each side of each scenario."""
    return [_figure_row(one) for one in results.rows]


def _figure_row(one: Row) -> list[str]:
    ratio = statistics.median(one.cpu_times_floor) if one.cpu_times_floor else None
    return [
        one.scenario,
        SUBJECTS[one.side].title if one.side in SUBJECTS else one.side,
        str(one.turns),
        _text(one.worst_rate, "{:.1f}"),
        _text(one.cpu_us, "{:.1f}"),
        _text(ratio, "{:.2f}"),
        _text(one.core_percent, "{:.0f}"),
        _text(one.late_p50_ms, "{:.1f}"),
        _text(one.late_p99_ms, "{:.1f}"),
        _text(one.largest_gap_ms, "{:.0f}"),
        _text(one.probe_p99_ms, "{:.1f}"),
        _text(one.memory_mib, "{:.0f}"),
        _text(one.generator_percent, "{:.0f}"),
        one.remark,
    ]


def _text(value: float | None, form: str) -> str:
    """Return a figure as text; a dash for None."""
    return "-" if value is None else form.format(value)
