"""What `make audit` makes of pip-audit's answers."""

import json

from tests.project.audit import judge

GOOD = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "two", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "three", "skip_reason": "Dependency not found"}


def test_a_vulnerability_fails() -> None:
    """By name, also beside packages that nothing is known of."""
    good, words = judge(json.dumps({"dependencies": [GOOD, BAD, UNKNOWN]}), "Found 1 known vulnerability")
    assert not good
    assert words == "two 2 has PYSEC-1, fixed in 3\naudited 2 of 3 packages: 1 vulnerabilities"


def test_without_one_it_passes() -> None:
    """And says how many packages could be asked for."""
    assert judge(json.dumps({"dependencies": [GOOD, UNKNOWN]}), "") == (
        True,
        "audited 1 of 2 packages: 0 vulnerabilities",
    )


def test_offline_it_passes_and_says_so() -> None:
    """With the reason."""
    good, words = judge("", "INFO: asking\nERROR: Could not connect to the service\n")
    assert good
    assert words == "nothing was audited, for pip-audit could not ask: ERROR: Could not connect to the service"


def test_it_does_not_pass_for_another_reason() -> None:
    """A pip-audit that is not there, say, audits nothing."""
    good, words = judge("", "python: No module named pip_audit\n")
    assert not good
    assert words == "nothing was audited, for pip-audit could not run: python: No module named pip_audit"
