"""The benchmark: this worker, the floor, two baselines and other servers, measured on one machine in one run.

    python -m bench [--full] [--only NAME ...] [--seconds 10] [--repetitions 3] [--strict]
    python -m bench --render

It prints every measurement and the verdict on each target. A run of everything that the targets need also updates
docs/bench.json, docs/benchmarks.md and README.md. With `--render` it measures nothing, and updates the documents from
docs/bench.json.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.load.generator import LoadError, compiled
from bench.report import documents, machine, tables
from bench.report.results import HEADINGS, TARGET_HEADINGS, Results, measurement_rows, one_line, target_rows
from bench.report.targets import FAIL, INVALID
from bench.subjects.catalogue import TITLES
from bench.subjects.subject import Environment
from bench.trial.plan import Step, make_plan
from bench.trial.scenarios import SCENARIOS
from bench.trial.trial import Trial
from testbed.processes import ROOT, Broker, Ticker
from testbed.progress import Progress
from testbed.published import Published


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


def measure(steps: Sequence[Step], results: Results) -> bool:
    """Repeat the plan, and add the measurements to `results`; return whether all were possible.

    Every repetition has every subject, so that a change of the machine's speed affects all subjects.
    """
    complete = True
    progress = Progress(results.repetitions * sum(step.seconds(results.seconds) for step in steps))
    core = reserve_core()
    with tempfile.TemporaryDirectory(prefix="clock-bench-") as name:
        directory = Path(name)
        with Broker(directory) as broker, Ticker(broker.url, directory) as ticker:
            ticker.wait_for_output("publishing the time")
            environment, published = Environment(broker, directory, core), Published(broker.port)
            for repetition in range(1, results.repetitions + 1):
                for step in steps:
                    title = f"{repetition}/{results.repetitions} {step.subject.name}"
                    progress.doing(f"{title}: starting")
                    try:
                        with Trial(step.subject, environment, published, repetition, results.seconds) as trial:
                            for scenario in step.scenarios:
                                progress.doing(f"{title} (process {trial.pids[0]}): {scenario}")
                                results.measurements.append(trial.run(scenario))
                                progress.done(f"{title}: {one_line(results.measurements[-1])}")
                    except (AssertionError, LoadError, OSError) as error:  # go on with the other subjects
                        progress.done(f"{title}: aborted: {error}")
                        complete = False
    return complete


def print_results(results: Results) -> None:
    """Print the tables."""
    print(f"\n{documents.conditions(results)}\n")
    print(tables.as_text(HEADINGS, measurement_rows(results.measurements)), "\n")
    for name, lack in results.left_out.items():
        print(f"not measured: {TITLES[name]}: {lack}")
    print(tables.as_text(TARGET_HEADINGS, target_rows(results.verdicts)))


def write_documents(results: Results) -> None:
    """Update the documents, and say which."""
    for path in documents.write(ROOT, results):
        print(f"written: {path.relative_to(ROOT)}")


def main() -> int:
    """Run the benchmark; return 0 if everything was measured and, with `--strict`, every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = [*TITLES, *SCENARIOS]
    parser.add_argument("--full", action="store_true", help="all subjects at all sizes")
    parser.add_argument(
        "--only", action="append", default=[], choices=names, help="a subject or a scenario; can be repeated"
    )
    parser.add_argument("--seconds", type=float, default=10, help="duration of a window (default: %(default)g)")
    parser.add_argument("--repetitions", type=int, default=3, help="how often to repeat (default: %(default)d)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every target is met or skipped")
    parser.add_argument("--render", action="store_true", help="only update the documents from docs/bench.json")
    options = parser.parse_args()
    if options.render:
        write_documents(Results.from_json((ROOT / "docs" / "bench.json").read_text()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs the exits of all contexts, which end the processes

    try:
        compiled()
    except LoadError as error:
        sys.exit(str(error))
    steps, left_out = make_plan(full=options.full, only=options.only)
    results = Results(machine.describe(), options.seconds, options.repetitions, left_out)
    try:
        complete = measure(steps, results)
    except KeyboardInterrupt:
        return 130
    print_results(results)
    if not options.only:
        write_documents(results)
    failed = any(one.verdict in {FAIL, INVALID} for one in results.verdicts)
    return int(not complete or (options.strict and failed))


if __name__ == "__main__":
    sys.exit(main())
