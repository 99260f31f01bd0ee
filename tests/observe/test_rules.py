"""The shipped rules: promtool accepts them and their unit tests. Each alert has a severity, a test and a runbook."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from testbed.processes import ROOT

FOLDER: Final = ROOT / "deploy" / "prometheus"
RULES: Final = FOLDER / "clock.rules.yml"
TESTS: Final = FOLDER / "clock.rules.test.yml"
OPERATIONS: Final = ROOT / "docs" / "operations.md"

ALERTS: Final = re.findall(r"- alert: (\w+)", RULES.read_text())


def promtool(*arguments: str) -> str:
    """Run promtool; return what it prints, and fail if it does."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_configuration() -> None:
    """With the rules that it names."""
    assert "SUCCESS" in promtool("check", "config", str(FOLDER / "prometheus.yml"))


def test_the_unit_tests_pass() -> None:
    """Each alert fires, and is resolved."""
    promtool("test", "rules", str(TESTS))


def test_the_unit_tests_can_fail(tmp_path: Path) -> None:
    """With other limits they do."""
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    (tmp_path / RULES.name).write_text(RULES.read_text().replace("> 0.8", "> 0.95"))
    with pytest.raises(AssertionError, match="ClockSaturated"):
        promtool("test", "rules", str(tmp_path / TESTS.name))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_and_has_a_runbook(alert: str) -> None:
    """Its annotation leads to a section of the document, and its severity is one of three."""
    rule = RULES.read_text().partition(f"- alert: {alert}\n")[2].partition("- alert:")[0]
    assert re.search(r"labels: \{severity: (critical|warning|none)\}", rule)
    assert f"runbook: docs/operations.md#{alert.lower()}\n" in rule
    assert f"\n#### {alert}\n" in OPERATIONS.read_text()
    assert f"alertname: {alert}\n" in TESTS.read_text()


def test_no_runbook_is_left_over() -> None:
    """Each belongs to an alert."""
    assert re.findall(r"^#### (Clock\w+)$", OPERATIONS.read_text(), re.MULTILINE) == ALERTS
