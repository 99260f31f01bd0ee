"""The machine on which figures were measured."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from bench.subjects.peers import NPM_PACKAGES
from tournament.up.broker import find_broker


def describe() -> dict[str, str | int]:
    """Return what a reader needs to compare figures: processor, cores, kernel, and the versions of the programs."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "broker": _version([find_broker(), "--version"]),
        "node": _version(["node", "--version"]),
        "nginx": _version(["nginx", "-v"]),
        **{f"npm {name}": version for name, version in NPM_PACKAGES.items()},
    }


def in_words(machine: dict[str, str | int]) -> str:
    """Return the machine in one line."""
    return "{processor}, {cores} cores, {kernel}, Python {python}".format(**machine)


def _version(command: list[str]) -> str:
    """Return the first line that a program prints about its version; empty if the program is missing."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]
