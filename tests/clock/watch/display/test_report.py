"""The report follows its schema, and the schema names all kinds of failure."""

import json

import jsonschema
import pytest

from clock.watch.display.report import report, report_line
from clock.watch.failure import Kind
from clock.watch.limits import Measured
from clock.watch.summary import Summary
from testbed.processes import ROOT
from tests.clock.watch.examples import LIMITS, MEASURED, SCHEMA, failed, summary
from tests.project.documents import text_of


@pytest.mark.parametrize("one", [summary(), failed(), summary(verdicts=(), worst_p99=None)])
def test_it_follows_the_schema(one: Summary) -> None:
    """In one line, without NaN."""
    line = report_line(one)
    assert "\n" not in line
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(line, parse_constant=pytest.fail), SCHEMA)


def test_the_schema_is_strict() -> None:
    """An additional field, a missing one, and another type are invalid."""
    good = report(summary())
    for bad in ({**good, "more": 1}, {**good, "steps": "0"}, {key: good[key] for key in good if key != "ok"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMA)


def test_the_documents_name_all_kinds() -> None:
    """The schema, and the table of exit codes in docs/operations.md."""
    assert SCHEMA["properties"]["failure"]["properties"]["kind"]["enum"] == [kind.label for kind in Kind]
    assert SCHEMA["properties"]["exit_code"]["maximum"] == max(kind.exit_code for kind in Kind)
    operations = text_of(ROOT / "docs" / "operations.md")
    for kind in Kind:
        assert f"| {kind.exit_code} | `{kind.label}` | " in operations


def test_the_exit_code() -> None:
    """0 if all limits hold, 1 if one does not, and that of a failure before both."""
    assert report(summary())["exit_code"] == 0
    assert report(summary())["ok"] is True
    slow = summary(verdicts=tuple(LIMITS.judge(MEASURED._replace(rate=10.0))))
    assert (report(slow)["exit_code"], report(slow)["ok"]) == (1, False)
    assert report(failed())["exit_code"] == Kind.REFUSED.exit_code
    assert report(failed())["failure"]["kind"] == "refused"


def test_values() -> None:
    """Those of the summary."""
    found = report(summary())
    assert found["lateness_ms"] == {"minimum": 0.6, "median": 1.1, "p99": 3.9, "worst_p99": 3.9}
    assert found["connections"] == {"opened": 23, "reconnects": 3, "closed": {"4012": 3}, "failed": {}}
    assert found["gap_ms"] == {"longest": 71.6, "long": 0}
    assert found["limits"][0] == {"name": "min_rate", "limit": 95, "measured": 99.8, "holds": True}
    unknown = summary(verdicts=tuple(LIMITS.judge(Measured(100, 1, None, None))))
    assert report(unknown)["limits"][3] == {"name": "max_bound", "limit": 20, "measured": None, "holds": False}
