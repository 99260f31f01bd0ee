"""How many workers, Redis servers and how much network a crowd needs, from measured costs, and where the limits lie.

    python -m bench.scaling [--docs] [--results FILE]

It prints all tables, and checks that the model agrees with the measured points of docs/bench.json within 20 %. With
`--docs` it also updates docs/scaling.md.
"""

import argparse
import sys
from pathlib import Path

from bench.report.tables import as_text
from bench.scaling import documents
from bench.scaling.agreement import disagreements
from bench.scaling.points import NotMeasured
from testbed.processes import ROOT

DOCS = ROOT / "docs"


def main(arguments: list[str] | None = None) -> int:
    """Print everything; return 0 if the model agrees with all measured points that it is checked against."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--docs", action="store_true", help="also update docs/scaling.md")
    parser.add_argument("--results", type=Path, metavar="FILE", help="other results than those in docs/bench.json")
    options = parser.parse_args(arguments)
    if options.docs:
        print(f"written: {documents.write(DOCS, options.results).relative_to(ROOT)}")
    try:
        report = documents.load(DOCS, options.results)
    except NotMeasured as lack:
        print(f"not measured: {lack}")
        return 1
    print(report.text(as_text))
    return int(bool(disagreements(report.comparisons)))


if __name__ == "__main__":
    sys.exit(main())
