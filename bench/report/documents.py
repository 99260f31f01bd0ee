"""The documents that show a session's results.

`docs/benchmarks.md` and README.md have a part between the markers `<!-- bench -->` and `<!-- /bench -->`, which is
generated. `docs/bench.json` has the data, and the two plots are beside it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.report.chart import Line, chart
from bench.report.machine import in_words
from bench.report.results import Point, Results
from bench.report.rows import (
    HEADINGS,
    SUMMARY_HEADINGS,
    TARGET_HEADINGS,
    count_line,
    figure_rows,
    summary_rows,
    target_rows,
)
from bench.report.tables import as_markdown, between_markers

MARKER: Final = "bench"
NOTHING: Final = "Not measured yet: run `make bench` on two idle cores."

DATA, LATENESS, FRAMES = "bench.json", "bench-lateness.svg", "bench-frames.svg"


def write(root: Path, results: Results) -> list[Path]:
    """Write all documents below the project's folder `root`; return their paths.

    Raises:
        ValueError: `docs/benchmarks.md` or README.md has no markers. The data is written nevertheless.
    """
    docs = root / "docs"
    files = {
        docs / DATA: results.as_json(),
        docs / LATENESS: lateness_chart(results),
        docs / FRAMES: frames_chart(results),
    }
    for path, text in files.items():
        path.write_text(text)
    texts = {docs / "benchmarks.md": full_text(results), root / "README.md": short_text(results)}
    for path, text in texts.items():
        path.write_text(between_markers(path.read_text(), text, MARKER))
    return [*files, *texts]


def full_text(results: Results) -> str:
    """Return the generated part of `docs/benchmarks.md`."""
    if not results.verdicts:
        return NOTHING
    return "\n".join(
        [
            f"{conditions(results)}\n",
            as_markdown(TARGET_HEADINGS, target_rows(results.verdicts)),
            "",
            f"{count_line(results.verdicts)}.\n",
            as_markdown(HEADINGS, figure_rows(results)),
            "",
            *(f"Not measured: {what}: {problem}.\n" for what, problem in results.not_measured.items()),
            f"![Lateness against the number of viewers]({LATENESS})\n",
            f"![Frames per second against the number of viewers]({FRAMES})\n",
            f"[{DATA}]({DATA}) has all figures, and the ratio of each pair of turns.",
        ]
    )


def short_text(results: Results) -> str:
    """Return the generated part of README.md."""
    if not results.verdicts:
        return NOTHING
    return "\n".join(
        [
            f"{conditions(results)}\n",
            as_markdown(SUMMARY_HEADINGS, summary_rows(results.verdicts)),
            "",
            f"{count_line(results.verdicts)}: [all results](docs/benchmarks.md).",
        ]
    )


def conditions(results: Results) -> str:
    """Return where the figures were measured, and how long that took."""
    return f"On {in_words(results.machine)}; {results.minutes:.0f} minutes."


def lateness_chart(results: Results) -> str:
    """Return a plot of the lateness."""
    lines = []
    for number, (title, points) in enumerate(results.points.items()):
        lines.append(Line(_label(title), _values(points, lambda one: one.late_p50_ms), colour=number))
        lines.append(Line("", _values(points, lambda one: one.late_p99_ms), colour=number, dashed=True))
    return chart("Lateness at the viewers: p50 (solid) and p99 (dashed)", "ms", lines)


def frames_chart(results: Results) -> str:
    """Return a plot of the frames that the worst-off viewer gets."""
    lines = [
        Line(_label(title), _values(points, lambda one: one.worst_rate), colour=number)
        for number, (title, points) in enumerate(results.points.items())
    ]
    return chart("Frames per second of the worst-off viewer", "frames/s", lines)


def _label(title: str) -> str:
    """Return a title without Markdown."""
    return title.replace("`", "")


def _values(points: list[Point], value: Callable[[Point], float | None]) -> list[tuple[float, float]]:
    """Return (viewers, value) for each point that has the value."""
    return [(float(one.viewers), found) for one in points if (found := value(one)) is not None]
