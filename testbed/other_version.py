"""Another version of the project: a copy of its files, from which a worker can run."""

import shutil
from pathlib import Path

from testbed.processes import ROOT, Worker


def copy_tree(tree: Path) -> Path:
    """Copy the files that a worker needs, and return the directory of the copy."""
    for name in ("tournament", "clock", "ticker"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", tree)
    return tree


def from_tree(worker: Worker, tree: Path) -> Worker:
    """Make a worker run the files in another directory, and return it."""
    worker.command = ["env", "-C", str(tree), *worker.command]
    return worker
