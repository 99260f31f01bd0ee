"""The endurance test: a clock under load for a long time, in which nothing may grow.

python -m tests.endurance [--minutes 20]

It prints a table, and its exit code is 0 if all figures are flat and nothing failed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import django

from bench.report.machine import describe, in_words
from bench.report.tables import as_text
from testbed.progress import Progress
from tests.endurance.growth import Verdict

HEADINGS = ("figure", "target", "measured", "")


def main() -> int:
    """Run it; return 0 if all figures are flat and nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
    django.setup()
    from tests.endurance.run import Run  # noqa: PLC0415 - what it imports needs Django

    with tempfile.TemporaryDirectory(prefix="clock-endurance-") as name:
        run = Run(Path(name))
        run.run(options.minutes, Progress(options.minutes * 60).done)
        verdicts, failures = run.verdicts(), run.failures()
    print(f"On {in_words(describe())}:\n")
    print(as_text(HEADINGS, [row(name, verdict) for name, verdict in verdicts]))
    for failure in failures:
        print(f"\n{failure}")
    return int(bool(failures) or not all(verdict.is_flat for _, verdict in verdicts))


def row(name: str, verdict: Verdict) -> list[str]:
    """Return a row of the table."""
    return [name, verdict.target, verdict.measured, "pass" if verdict.is_flat else "FAIL"]


if __name__ == "__main__":
    sys.exit(main())
