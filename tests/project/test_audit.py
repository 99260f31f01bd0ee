"""How `make audit` judges the output of pip-audit."""

import json

from tests.project.audit import judge

GOOD = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "two", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "three", "skip_reason": "Dependency not found"}


def test_a_vulnerability_fails() -> None:
    """It is reported with the package's name, also beside packages that are not in the database."""
    passes, text = judge(json.dumps({"dependencies": [GOOD, BAD, UNKNOWN]}), "Found 1 known vulnerability")
    assert not passes
    assert text == "two 2 has PYSEC-1, fixed in 3\naudited 2 of 3 packages: 1 vulnerabilities"


def test_without_one_it_passes() -> None:
    """The text says how many packages the database has."""
    assert judge(json.dumps({"dependencies": [GOOD, UNKNOWN]}), "") == (
        True,
        "audited 1 of 2 packages: 0 vulnerabilities",
    )


def test_offline_it_passes_and_says_so() -> None:
    """The text gives the reason."""
    passes, text = judge("", "INFO: asking\nERROR: Could not connect to the service\n")
    assert passes
    assert text == "not audited: pip-audit could not reach the database: ERROR: Could not connect to the service"


def test_it_does_not_pass_for_another_reason() -> None:
    """If pip-audit is not installed, for example, nothing was audited."""
    passes, text = judge("", "python: No module named pip_audit\n")
    assert not passes
    assert text == "not audited: pip-audit could not run: python: No module named pip_audit"
