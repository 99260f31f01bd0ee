"""The report: the measurements and the targets as tables, for the terminal and for the README."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.measurement import Measurement
from bench.scenarios import SCENARIOS
from bench.targets import Verdict

Rows = Sequence[Sequence[str]]

NUMBER = re.compile(r"[\d.,%]+|inf|-|")

HEADINGS = (
    "subject",
    "scenario",
    "CPU µs a frame",
    "times floor",
    "core",
    "delivered, worst-off",
    "late p50 ms",
    "p99 ms",
    "largest gap ms",
    "101 p99 ms",
    "all in s",
    "MiB",
    "remark",
)


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of what is there; None if nothing is."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def tell(value: float | None, form: str, missing: str = "-") -> str:
    """Return a value in words; a dash where there is none."""
    return missing if value is None else form.format(value)


def groups(measurements: Iterable[Measurement]) -> dict[tuple[str, str], list[Measurement]]:
    """Return the repetitions of each subject and scenario."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for one in measurements:
        found.setdefault((one.subject, one.scenario), []).append(one)
    return found


def cpu_us(one: Measurement) -> float | None:
    """Return the CPU microseconds a frame; None where no frame came."""
    return one.cpu_us_per_frame if one.window is not None and one.window.frames else None


def cpu_over_floor(ones: list[Measurement], floor: list[Measurement]) -> float | None:
    """Return the median of the ratios, each to the floor of the same repetition; None where there is none."""
    floors = {one.repetition: cpu_us(one) for one in floor}
    ratios = [(cpu_us(one), floors.get(one.repetition)) for one in ones]
    return median(own / least for own, least in ratios if own and least)


def measurement_rows(measurements: Iterable[Measurement], titles: Mapping[str, str]) -> Rows:
    """Return a row for each subject and scenario, medians of the repetitions, under `HEADINGS`."""
    found = groups(measurements)
    rows = []
    for (subject, scenario), ones in sorted(found.items(), key=lambda item: _place(item[0], list(titles))):
        windows = [one.window for one in ones if one.window is not None and one.window.clients]
        entries = [one.entry for one in ones if one.entry is not None]
        # The frames of a moment in which 400 come are not what a frame costs.
        cost = [] if scenario == "storm" else ones
        rows.append(
            [
                titles[subject],
                scenario,
                tell(median(cpu_us(one) for one in cost), "{:.1f}"),
                tell(cpu_over_floor(cost, found.get(("floor", scenario), [])), "{:.2f}"),
                tell(median(one.cpu_share for one in ones), "{:.0%}"),
                tell(median(one.worst_share for one in ones if one.window in windows), "{:.2%}"),
                tell(median(one.late_p50_ms for one in windows), "{:.1f}"),
                tell(median(one.late_p99_ms for one in windows), "{:.1f}"),
                tell(median(one.largest_gap_ms for one in windows), "{:.0f}"),
                tell(median(one.handshake_p99_ms for one in entries), "{:.0f}"),
                tell(median(one.seconds for one in entries), "{:.2f}"),
                tell(median(one.memory_bytes / (1 << 20) for one in ones), "{:.0f}"),
                next((text for one in ones if (text := one.invalid or one.faults)), ones[0].remark),
            ]
        )
    return rows


def _place(which: tuple[str, str], subjects: list[str]) -> tuple[int, int]:
    return subjects.index(which[0]), list(SCENARIOS).index(which[1])


def target_rows(verdicts: Iterable[Verdict]) -> Rows:
    """Return a row for each target."""
    return [
        [one.what, one.target, one.measured or "-", one.verdict + (f": {one.reason}" if one.reason else "")]
        for one in verdicts
    ]


TARGET_HEADINGS = ("what", "target", "measured", "")


def as_text(headings: Sequence[str], rows: Rows) -> str:
    """Return a table for the terminal, in which columns of numbers stand to the right."""
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    right = [all(NUMBER.fullmatch(row[column]) for row in rows) for column in range(len(headings))]
    lines = (
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    )
    return "\n".join(lines)


def as_markdown(headings: Sequence[str], rows: Rows) -> str:
    """Return a table in Markdown."""
    table = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table)


def from_markdown(text: str) -> list[list[str]]:
    """Return the rows of a table in Markdown, the headings first."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if set("".join(row)) != {"-"}]


def in_a_line(one: Measurement) -> str:
    """Return a measurement in a few words, for those who watch."""
    words = [one.scenario, f"{100 * one.cpu_share:.0f} % of the core"]
    if one.window is not None and one.window.clients:
        words += [
            tell(cpu_us(one), "{:.1f} µs a frame"),
            f"worst-off {100 * one.worst_share:.1f} %",
            f"late {tell(one.window.late_p50_ms, '{:.1f}')}/{tell(one.window.late_p99_ms, '{:.1f}')} ms",
            f"gap {one.window.largest_gap_ms:.0f} ms",
            f"load {100 * one.window.cpu_share:.0f} %",
        ]
    if one.entry is not None:
        words.append(f"{one.entry.in_} in within {one.entry.seconds:.2f} s")
    return ", ".join([*words, *(text for text in (one.remark, one.invalid, one.faults) if text)])
