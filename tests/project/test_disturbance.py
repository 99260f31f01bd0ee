"""What is repeated on a machine whose host takes its processors away, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.processes import ROOT
from tests.disturbance import REPETITIONS, Disturbance, stolen_s

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# Tests that fail for a while. During each of their runs the host takes so much.
CASES = """
from pathlib import Path
import tests.disturbance

stat = Path("stat")
stolen_so_far = 0
runs = {}

def fail(name: str, *, times: int, stolen: int) -> None:
    global stolen_so_far
    runs[name] = runs.get(name, 0) + 1
    stolen_so_far += stolen
    stat.write_text(f"cpu  0 0 0 0 0 0 0 {stolen_so_far} 0 0\\n")
    assert runs[name] > times

stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\\n")
tests.disturbance._disturbance._path = stat

def test_disturbed() -> None:
    fail("disturbed", times=1, stolen=10_000)

def test_always_disturbed() -> None:
    fail("always disturbed", times=9, stolen=10_000)

def test_undisturbed() -> None:
    fail("undisturbed", times=1, stolen=0)

def test_last() -> None:
    print(runs)
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of these tests. It knows no other plugin, for each takes time to load."""
    directory = tmp_path_factory.mktemp("disturbance")
    (directory / "test_case.py").write_text(CASES)
    options = ["-p", "pytest_rerunfailures", "-p", "tests.disturbance", "-p", "no:cacheprovider", "-s"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(directory), *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    return result.stdout


def test_the_stolen_time_of_all_processors() -> None:
    """The eighth number of the first line."""
    text = f"cpu  1 2 3 4 5 6 7 {12 * TICKS_PER_SECOND} 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert stolen_s(text) == 12


def test_without_such_a_file_nothing_is_disturbed(tmp_path: Path) -> None:
    """As on macOS."""
    assert not Disturbance(tmp_path / "stat")


def test_only_a_disturbed_test_is_repeated(output: str) -> None:
    """And not for ever."""
    assert str({"disturbed": 2, "always disturbed": 1 + REPETITIONS, "undisturbed": 1}) in output


def test_a_test_passes_if_its_last_repetition_does(output: str) -> None:
    """The others fail. The summary counts the repetitions."""
    assert f"2 failed, 2 passed, {1 + REPETITIONS} rerun" in output
    assert "FAILED test_case.py::test_always_disturbed" in output
    assert "FAILED test_case.py::test_undisturbed" in output
