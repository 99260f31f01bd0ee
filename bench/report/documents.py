"""The documents that show a run's results.

`docs/benchmarks.md` and README.md have a part between the markers `<!-- bench -->` and `<!-- /bench -->`, which is
generated. `docs/bench.json` has the data, and the two plots are beside it.
"""

from pathlib import Path

from bench.report.chart import Line, chart
from bench.report.machine import in_words
from bench.report.results import (
    HEADINGS,
    SUMMARY_HEADINGS,
    TARGET_HEADINGS,
    Results,
    Value,
    cpu_us,
    measurement_rows,
    summary_rows,
    target_rows,
)
from bench.report.tables import as_markdown, between_markers
from bench.report.targets import MET
from bench.subjects.catalogue import TITLES
from bench.trial.scenarios import SIZES

MARKER = "bench"


def write(root: Path, results: Results) -> list[Path]:
    """Write all documents below the project's folder `root`; return their paths.

    Raises:
        ValueError: `docs/benchmarks.md` or README.md has no markers. The data is written nevertheless.
    """
    docs = root / "docs"
    (docs / "bench.json").write_text(results.as_json())
    (docs / "bench-cpu.svg").write_text(cpu_chart(results))
    (docs / "bench-lateness.svg").write_text(lateness_chart(results))
    texts = {docs / "benchmarks.md": full_text(results), root / "README.md": short_text(results)}
    for path, text in texts.items():
        path.write_text(between_markers(path.read_text(), text, MARKER))
    return [docs / "bench.json", docs / "bench-cpu.svg", docs / "bench-lateness.svg", *texts]


def full_text(results: Results) -> str:
    """Return the generated part of `docs/benchmarks.md`."""
    left_out = [f"Not measured: {TITLES[name]}: {lack}.\n" for name, lack in results.left_out.items()]
    return "\n".join(
        [
            f"{conditions(results)}\n",
            as_markdown(TARGET_HEADINGS, target_rows(results.verdicts)),
            "",
            as_markdown(HEADINGS, measurement_rows(results.measurements)),
            "",
            *left_out,
            "![CPU time per frame against the number of clients](bench-cpu.svg)\n",
            "![Lateness against the number of clients](bench-lateness.svg)\n",
            "[bench.json](bench.json) has every measurement of every repetition.",
        ]
    )


def short_text(results: Results) -> str:
    """Return the generated part of README.md."""
    verdicts = results.verdicts
    passed = sum(one.verdict == MET for one in verdicts)
    return "\n".join(
        [
            f"{conditions(results)}\n",
            as_markdown(SUMMARY_HEADINGS, summary_rows(results)),
            "",
            f"{passed} of {len(verdicts)} targets are met: [all results](docs/benchmarks.md).",
        ]
    )


def conditions(results: Results) -> str:
    """Return where and how the figures were measured."""
    return f"On {in_words(results.machine)}; medians of {results.repetitions} repetitions of {results.seconds:g} s."


def cpu_chart(results: Results) -> str:
    """Return a plot of the CPU time per frame."""
    lines = [
        Line(title, _points(results, name, cpu_us), colour=number)
        for number, (name, title) in enumerate(TITLES.items())
    ]
    return chart("CPU time per delivered frame", "µs", lines)


def lateness_chart(results: Results) -> str:
    """Return a plot of the lateness."""
    lines = []
    for number, (name, title) in enumerate(TITLES.items()):
        lines.append(Line(title, _points(results, name, lambda one: one.window.late_p50_ms), colour=number))
        p99 = _points(results, name, lambda one: one.window.late_p99_ms)
        lines.append(Line("", p99, colour=number, dashed=True))
    return chart("Lateness at the clients: p50 (solid) and p99 (dashed)", "ms", lines)


def _points(results: Results, subject: str, value: Value) -> list[tuple[float, float]]:
    """Return (clients, median) for each size that was measured."""
    medians = {size: results.median(subject, scenario, value) for scenario, size in SIZES.items()}
    return [(float(size), median) for size, median in medians.items() if median is not None]
