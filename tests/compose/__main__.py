"""The clock under Compose: builds the image, runs the stack, and breaks its parts while 300 viewers watch.

    python -m tests.compose [--docs] [arguments of pytest]

It needs Docker with Compose, a registry that has the images of Redis and HAProxy, and the history of the project, from
which it builds the last release. With `--docs` it writes its table to docs/operations.md.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from testbed import release
from testbed.processes import ROOT
from tests.fault_table import run

DOCUMENT: Final = ROOT / "docs" / "operations.md"


def missing() -> str:
    """Return what this machine lacks, or nothing."""
    if not shutil.which("docker"):
        return "Docker is required"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"Docker must run: {done.stderr.strip()}"
    return release.missing()


def main() -> int:
    """Run the tests; return 0 if all pass."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--docs", action="store_true", help="write the table to docs/operations.md")
    options, arguments = parser.parse_known_args()
    if lacks := missing():
        sys.exit(f"make compose-test cannot run: {lacks}")
    return run(Path(__file__).parent, arguments, DOCUMENT if options.docs else None, "compose")


if __name__ == "__main__":
    sys.exit(main())
