"""Repeats a test that failed while the host of this virtual machine took its processors away.

In the fault suite, in `make soak` and in `make bench-test`, processes must be on time. On a virtual machine the host
may run something else ("steal", proc_stat(5)). No program can be on time then, and a failure says nothing. Such a
test is repeated, twice at most, and the summary shows it as RERUN. A failure on an undisturbed machine stays a failure.
This is a plugin of pytest: `-p tests.disturbance`.
"""

import os
import time
from pathlib import Path
from typing import Final

import pytest

MARKS: Final = ("fault", "soak", "bench")
REPETITIONS: Final = 2

# Of all processors' time. Quiet machines have 1 to 3 %; at 16 % a worker loses one tick in thirty.
MAX_STOLEN: Final = 0.06


def stolen_s(stat: str) -> float:
    """Return the stolen time of all processors since the start, in seconds, from the text of /proc/stat."""
    total = next(line for line in stat.splitlines() if line.startswith("cpu ")).split()
    return int(total[8]) / os.sysconf("SC_CLK_TCK")


class Disturbance:
    """True if the machine was disturbed since the present test began: a condition for pytest-rerunfailures."""

    def __init__(self, path: Path = Path("/proc/stat")) -> None:
        self._path = path
        self.begin()

    def _read(self) -> tuple[float, float]:
        return time.monotonic(), stolen_s(self._path.read_text()) if self._path.exists() else 0.0

    def begin(self) -> None:
        """Begin with a test."""
        self._began_at, self._stolen_s = self._read()

    def __bool__(self) -> bool:
        now, stolen = self._read()
        processors = os.cpu_count() or 1
        return stolen - self._stolen_s > MAX_STOLEN * processors * (now - self._began_at)


_disturbance = Disturbance()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are repeated."""
    for item in items:
        if any(item.get_closest_marker(name) for name in MARKS):
            item.add_marker(pytest.mark.flaky(reruns=REPETITIONS, condition=_disturbance))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin with a test, or with its repetition."""
    _disturbance.begin()
