"""The benchmark of what metrics cost. Its figures mean nothing during a test run."""

import sys

import pytest

from bench import recording


@pytest.mark.parametrize(("cost_ns", "code"), [(900.0, 0), (2_000.0, 1)])
def test_it_judges_ticker_and_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cost_ns: float, code: int
) -> None:
    """Each by its cost, less that of the loop. The exit code is 1 if one of them misses the target."""
    monkeypatch.setattr(sys, "argv", ["recording"])
    costs_ns = {recording.nothing: 50.0}
    monkeypatch.setattr(recording, "median_ns", lambda record, _runs: costs_ns.get(record, 50.0 + cost_ns))
    assert recording.main() == code
    _, ticker, worker = capsys.readouterr().out.splitlines()
    for row in (ticker, worker):
        assert f" {cost_ns:.0f} " in row
        assert row.endswith("FAIL" if code else "pass")


def test_what_is_measured_records() -> None:
    """A thousand ticks in the ticker and in the worker, of which each takes some time."""
    for record in (recording.in_the_ticker(), recording.in_a_worker()):
        assert recording.median_ns(record, runs=2) > 0
