"""There is one version number, and every part shows it."""

import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clock import __version__
from clock.asgi import ServerStatus
from clock.endpoints.metrics import metrics
from testbed.processes import Ticker, Worker

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_has_three_numbers() -> None:
    """Semantic Versioning, and nothing after it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_no_other_file_repeats_the_version() -> None:
    """`pyproject.toml` leaves it to the package, and the changelog has an entry for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [["-m", "tournament.server", "--version"], ["manage.py", "ticker", "--version"]],
    ids=["worker", "ticker"],
)
def test_version_option(command: list[str]) -> None:
    """`--version` prints it and exits with 0."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"clock {__version__}\n"


def test_metric() -> None:
    """`clock_build_info` carries the version of the clock and of Python."""
    line = f'clock_build_info{{python="{platform.python_version()}",version="{__version__}"}} 1.0'
    assert line in metrics(ServerStatus()).decode().splitlines()


def test_first_log_line_of_the_ticker(ticker: Ticker) -> None:
    """It names the version."""
    ticker.wait_for_output("ticker starting")
    first = ticker.output().splitlines()[0]
    assert f' level=INFO logger=ticker message="clock {__version__}: ticker starting" version={__version__} ' in first
    assert " CLOCK_TIME_ZONE=Asia/Kathmandu " in first


def test_first_log_line_of_the_worker(worker: Worker) -> None:
    """It names the version."""
    first = worker.output().splitlines()[0]
    assert f' message="clock {__version__}: worker starting" version={__version__} REDIS_URL=redis://127.' in first
