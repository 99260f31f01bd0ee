"""The benchmark: this worker beside the floor, the baselines and its peers, on one machine in one run.

    python -m bench [--full] [--only NAME ...] [--seconds 10] [--repetitions 3] [--strict]

It prints every measurement and what became of the targets. A run of all that the targets need also renews the figures:
docs/bench.json, the plots beside it, and the README.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import figures, machine, report
from bench.load import LoadError, compiled
from bench.measurement import Measurement
from bench.plan import Step, make_plan
from bench.scenarios import SCENARIOS, Trial
from bench.subjects import SUBJECTS, Stage
from bench.targets import FAIL, INVALID, TARGETS, Verdict, judge
from testbed.processes import ROOT, Broker, Ticker
from testbed.progress import Progress
from testbed.published import Published

TITLES = {subject.name: subject.title for subject in SUBJECTS}


def share_out_cores() -> set[int] | None:
    """Leave the first core to what is measured and bind this process, and all it starts, to the others.

    Returns:
        The core of what is measured; None on a machine with only one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, set(cores[1:]))
    return set(cores[:1])


def measure(steps: Sequence[Step], repetitions: int, seconds: float) -> tuple[list[Measurement], bool]:
    """Go through the plan so many times, every subject in each, so that what changes about the machine concerns all.

    Returns:
        The measurements, and whether all that was planned could be done; what could not was said.
    """
    measurements: list[Measurement] = []
    complete = True
    progress = Progress(repetitions * sum(step.seconds(seconds) for step in steps))
    own_core = share_out_cores()
    with tempfile.TemporaryDirectory(prefix="clock-bench-") as name:
        directory = Path(name)
        with Broker(directory) as broker, Ticker(broker.url, directory) as ticker:
            ticker.wait_for_output("publishing the time")
            stage, published = Stage(broker, directory, own_core), Published(broker.port)
            for repetition in range(1, repetitions + 1):
                for step in steps:
                    where = f"{repetition}/{repetitions} {step.subject.name}"
                    progress.doing(f"{where}: starts")
                    try:
                        with Trial(step.subject, stage, published, repetition, seconds) as trial:
                            for scenario in step.scenarios:
                                progress.doing(f"{where} (process {trial.pids[0]}): {scenario}")
                                measurements.append(trial.run(scenario))
                                progress.done(f"{where}: {report.in_a_line(measurements[-1])}")
                    except (AssertionError, LoadError, OSError) as error:  # the others are still worth measuring
                        progress.done(f"{where}: broken off: {error}")
                        complete = False
    return measurements, complete


def tell(measurements: Sequence[Measurement], verdicts: Sequence[Verdict], run: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"\n{machine.in_words(run['machine'])}")
    print(f"medians of {run['repetitions']} repetitions of {run['seconds']:g} s; load: {run['machine']['load']}\n")
    print(report.as_text(report.HEADINGS, report.measurement_rows(measurements, TITLES)), "\n")
    for name, why in run["left_out"].items():
        print(f"left out: {TITLES[name]}: {why}")
    print(report.as_text(report.TARGET_HEADINGS, report.target_rows(verdicts)))


def main() -> int:
    """Measure, judge and tell; return 0 if all was measured and, with `--strict`, no target was failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = [*TITLES, *SCENARIOS]
    parser.add_argument("--full", action="store_true", help="all subjects at all sizes")
    parser.add_argument(
        "--only", action="append", default=[], choices=names, help="a subject or a scenario; repeatable"
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long a window is (default: %(default)g)")
    parser.add_argument("--repetitions", type=int, default=3, help="how often all is done (default: %(default)d)")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a target is failed or could not be judged"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended

    compiled()
    steps, left_out = make_plan(full=options.full, only=options.only)
    run: dict[str, Any] = {
        "machine": machine.describe(),
        "seconds": options.seconds,
        "repetitions": options.repetitions,
        "full": options.full,
        "left_out": left_out,
    }
    try:
        measurements, complete = measure(steps, options.repetitions, options.seconds)
    except KeyboardInterrupt:
        return 130
    verdicts = judge(TARGETS, measurements)
    tell(measurements, verdicts, run)
    if not options.only:
        for path in figures.write(ROOT, measurements, verdicts, TITLES, run):
            print(f"written: {path.relative_to(ROOT)}")
    failed = any(one.verdict in {FAIL, INVALID} for one in verdicts)
    return int(not complete or (options.strict and failed))


if __name__ == "__main__":
    sys.exit(main())
