"""What is repeated on a machine whose host takes its processors away, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.processes import ROOT
from tests.disturbance import REPETITIONS, Disturbance, stolen_s

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# A test that fails as often as it is told to. Each time, the host takes as much as it is told to.
CASE = """
import os
from pathlib import Path
import pytest
import tests.disturbance

stat = Path("stat")
stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\\n")
tests.disturbance._disturbance._path = stat
runs = 0

{mark}
def test() -> None:
    global runs
    runs += 1
    stat.write_text(f"cpu  0 0 0 0 0 0 0 {{runs * {stolen}}} 0 0\\n")
    assert runs > {failures}

def test_last() -> None:
    print("runs:", runs)
"""


def run(directory: Path, *, failures: int, stolen: int = 10_000, mark: str = "@pytest.mark.soak") -> tuple[int, str]:
    """Return pytest's exit code and output for such a test."""
    (directory / "test_case.py").write_text(CASE.format(failures=failures, stolen=stolen, mark=mark))
    options = ["-p", "tests.disturbance", "-p", "no:cacheprovider", "-s", "-o", "markers=soak"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(directory), *options],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout


def test_the_stolen_time_of_all_processors() -> None:
    """The eighth number of the first line."""
    text = f"cpu  1 2 3 4 5 6 7 {12 * TICKS_PER_SECOND} 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert stolen_s(text) == 12


def test_without_such_a_file_nothing_is_disturbed(tmp_path: Path) -> None:
    """As on macOS."""
    assert not Disturbance(tmp_path / "stat")


def test_a_disturbed_test_is_repeated(tmp_path: Path) -> None:
    """It passes if a repetition does, and the summary says that there was one."""
    code, output = run(tmp_path, failures=1)
    assert code == 0
    assert "runs: 2" in output
    assert "1 rerun" in output


@pytest.mark.parametrize(
    ("mark", "stolen", "runs"),
    [("@pytest.mark.soak", 10_000, 1 + REPETITIONS), ("@pytest.mark.soak", 0, 1), ("", 10_000, 1)],
    ids=["disturbed", "undisturbed", "not one that must be on time"],
)
def test_a_failure_stays_a_failure(tmp_path: Path, mark: str, stolen: int, runs: int) -> None:
    """After the last repetition, on a quiet machine, and in any other test."""
    code, output = run(tmp_path, failures=9, stolen=stolen, mark=mark)
    assert code == 1
    assert f"runs: {runs}" in output
