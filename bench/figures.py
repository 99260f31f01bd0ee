"""What stays of a run: `docs/bench.json`, the two plots beside it, and the part of the README between two markers."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import report
from bench.machine import in_words
from bench.measurement import Measurement
from bench.plot import Series, plot
from bench.scenarios import SIZES
from bench.targets import TARGETS, Verdict, judge

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def write(
    root: Path,
    measurements: Sequence[Measurement],
    verdicts: Sequence[Verdict],
    titles: Mapping[str, str],
    run: dict[str, Any],
) -> list[Path]:
    """Write all of it below `root`, the project's folder, and return what was written. `run` has a `machine`."""
    docs = root / "docs"
    texts = {
        docs / "bench.json": as_json(measurements, verdicts, run),
        docs / "bench-cpu.svg": cpu_plot(measurements, titles),
        docs / "bench-lateness.svg": lateness_plot(measurements, titles),
    }
    readme = root / "README.md"
    if readme.exists() and BEGIN in (before := readme.read_text()):
        texts[readme] = between_markers(before, as_markdown(measurements, verdicts, titles, run))
    for path, text in texts.items():
        path.write_text(text)
    return list(texts)


def as_json(measurements: Sequence[Measurement], verdicts: Sequence[Verdict], run: dict[str, Any]) -> str:
    """Return everything: the run, the targets, and every measurement of every repetition."""
    everything = {
        **run,
        "targets": [{name: getattr(one, name) for name in Verdict.__slots__} for one in verdicts],
        "measurements": [one.as_json() for one in measurements],
    }
    return json.dumps(_finite(everything), indent=1, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """Return a value without what JSON has no word for: infinities and NaN become null."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value - value != 0 else value


def as_markdown(
    measurements: Sequence[Measurement],
    verdicts: Sequence[Verdict],
    titles: Mapping[str, str],
    run: dict[str, Any],
) -> str:
    """Return what the README says about a run."""
    missing = [f"{titles[name]} was left out: {why}.\n" for name, why in run["left_out"].items()]
    return "\n".join(
        [
            f"On {in_words(run['machine'])}; medians of {run['repetitions']} repetitions of {run['seconds']:g} s.\n",
            report.as_markdown(report.TARGET_HEADINGS, report.target_rows(verdicts)),
            "",
            report.as_markdown(report.HEADINGS, report.measurement_rows(measurements, titles)),
            "",
            *missing,
            "![CPU time per frame against the number of clients](docs/bench-cpu.svg)\n",
            "![Lateness against the number of clients](docs/bench-lateness.svg)",
        ]
    )


def as_markdown_again(told: dict[str, Any], titles: Mapping[str, str]) -> str:
    """Return what the README says about the run whose `docs/bench.json` is given."""
    measurements = [Measurement.from_json(one) for one in told["measurements"]]
    return as_markdown(measurements, judge(TARGETS, measurements), titles, told)


def between_markers(text: str, new: str, begin: str = BEGIN, end: str = END) -> str:
    """Return a text in which what stands between the markers is new."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{new}\n{end}{after}"


def cpu_plot(measurements: Sequence[Measurement], titles: Mapping[str, str]) -> str:
    """Return the plot of what a frame costs."""
    series = [
        Series(title, _points(measurements, name, report.cpu_us), number)
        for number, (name, title) in enumerate(titles.items())
    ]
    return plot("CPU time of a delivered frame", "µs", series)


def lateness_plot(measurements: Sequence[Measurement], titles: Mapping[str, str]) -> str:
    """Return the plot of how late frames come: the median, and the one in a hundred."""
    series = []
    for number, (name, title) in enumerate(titles.items()):
        series.append(Series(title, _points(measurements, name, _late_p50), number))
        series.append(Series("", _points(measurements, name, _late_p99), number, dashed=True))
    return plot("Lateness at the clients: p50 (solid) and p99 (dashed)", "ms", series)


def _late_p50(one: Measurement) -> float | None:
    return one.window.late_p50_ms if one.window is not None else None


def _late_p99(one: Measurement) -> float | None:
    return one.window.late_p99_ms if one.window is not None else None


def _points(
    measurements: Sequence[Measurement], subject: str, value: Callable[[Measurement], float | None]
) -> list[tuple[float, float]]:
    """Return (clients, median of the valid repetitions) for each size that was measured."""
    points = []
    for scenario, size in SIZES.items():
        ones = [one for one in measurements if (one.subject, one.scenario) == (subject, scenario) and not one.invalid]
        middle = report.median(value(one) for one in ones)
        if middle is not None:
            points.append((float(size), middle))
    return points
