"""The benchmark: this worker, the floor and other servers, measured on one machine in one run.

    python -m bench [--full] [--only NAME ...] [--minutes 15] [--strict]
    python -m bench --render

It prints what it measures and the verdict on each target. A run of everything also updates docs/bench.json and the
documents: docs/benchmarks.md, docs/scaling.md and README.md. With `--render` it measures nothing, and updates these
from docs/bench.json.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.load.generator import LoadError, compiled
from bench.report import documents, machine, tables
from bench.report.results import Results, compute
from bench.report.rows import HEADINGS, TARGET_HEADINGS, count_line, figure_rows, target_rows
from bench.scaling import documents as scaling
from bench.scenarios.catalogue import SCENARIOS
from bench.scenarios.session import Ladder, Session, ladders, measure
from bench.subjects.gate import GateControl
from bench.subjects.subject import Environment
from bench.trial.figures import core_percent, late_ms
from bench.trial.scenario import Record, Scenario
from bench.trial.side import Stage
from bench.trial.target import MET, NOT_MEASURED
from testbed.processes import ROOT, Broker, Program, Ticker
from testbed.progress import Progress
from testbed.subscriber import Published

# A page that knows its drift sends a probe so often (clock/static/clock/time/drift.js); before, one every 10 s.
PROBE_INTERVAL_S = 60.0


def reserve_core() -> set[int] | None:
    """Reserve the first core for the subject: bind this process, and all that it starts, to the others.

    Returns:
        The subject's core; None if there is only one core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, set(cores[1:]))
    return set(cores[:1])


def one_line(name: str, record: Record) -> str:
    """Return a record in one line, for the progress on the terminal."""
    sides = dict.fromkeys(side for turn in record.turns for side in turn)
    words = [
        f"{side} {core_percent(record.turns, side):.0f} % of a core, late {late_ms(record.turns, side, 50):.1f}/"
        f"{late_ms(record.turns, side, 99):.1f} ms"
        for side in sides
    ]
    return "; ".join([f"{name}, {len(record.turns)} turns", *words, *([record.problem] if record.problem else [])])


def run(scenarios: Sequence[Scenario], to_climb: Sequence[Ladder], minutes: float, probe_interval_s: float) -> Session:
    """Measure everything, on a broker and a ticker of its own."""
    progress = Progress(sum(one.seconds for one in scenarios) + sum(one.seconds for one in to_climb))
    core = reserve_core()
    with tempfile.TemporaryDirectory(prefix="clock-bench-") as name:
        directory = Path(name)
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory) as ticker,
            Program("gate", [sys.executable, "-m", "bench.subjects.gate", str(broker.port)], directory) as gate,
        ):
            ticker.wait_until_leader()
            gate.wait_for_output("open")
            with closing(GateControl(broker.port)) as control, closing(Published(broker.port)) as published:
                stage = Stage(Environment(broker, directory, core), control, published, probe_interval_s)
                return measure(
                    scenarios, to_climb, stage, 60 * minutes, lambda part, record: progress.done(one_line(part, record))
                )


def print_results(results: Results) -> None:
    """Print the tables."""
    print(f"\n{documents.conditions(results)}\n")
    print(tables.as_text(HEADINGS, figure_rows(results)), "\n")
    for what, problem in results.not_measured.items():
        print(f"not measured: {what}: {problem}")
    print(tables.as_text(TARGET_HEADINGS, target_rows(results.verdicts)))
    print(count_line(results.verdicts))


def write_documents(results: Results) -> None:
    """Update the documents, and say which."""
    for path in [*documents.write(ROOT, results), scaling.write(ROOT / "docs")]:
        print(f"written: {path.relative_to(ROOT)}")


def main() -> int:
    """Run the benchmark; return 0 if everything was measured and, with `--strict`, every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = [*(one.name for one in SCENARIOS), *(one.name for one in ladders(full=True))]
    parser.add_argument("--full", action="store_true", help="also all subjects with more and more viewers")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", choices=names, help="one of: " + ", ".join(names)
    )
    parser.add_argument("--minutes", type=float, help="no more turns than necessary after this time (default: 15)")
    parser.add_argument("--probes", type=float, default=PROBE_INTERVAL_S, help="seconds between two probes of a page")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every target is met")
    parser.add_argument("--render", action="store_true", help="only update the documents from docs/bench.json")
    options = parser.parse_args()
    if options.render:
        write_documents(Results.from_json((ROOT / "docs" / documents.DATA).read_text()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs the exits of all contexts, which end the processes

    try:
        compiled()
    except LoadError as error:
        sys.exit(str(error))
    scenarios = [one for one in SCENARIOS if one.name in options.only or not options.only]
    to_climb = [
        one for one in ladders(full=options.full or bool(options.only)) if one.name in options.only or not options.only
    ]
    started, described = time.monotonic(), machine.describe()  # with all cores: `run` leaves one to the subject
    try:
        session = run(scenarios, to_climb, options.minutes or (30 if options.full else 15), options.probes)
    except KeyboardInterrupt:
        return 130
    results = compute(session, described, (time.monotonic() - started) / 60)
    print_results(results)
    if not options.only:
        write_documents(results)
    missed = any(one.verdict not in {MET, NOT_MEASURED} for one in results.verdicts)
    failed = any(one.is_possible and one.problem for one in session.records.values())
    return int(failed or (options.strict and missed))


if __name__ == "__main__":
    sys.exit(main())
