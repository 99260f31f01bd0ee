"""The scenarios, with a few viewers instead of thousands: each takes a turn with real programs."""

import pytest

from bench.scenarios import page_loads, processes, storms
from bench.trial.side import Stage

pytestmark = pytest.mark.bench


def test_a_connection_storm(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who arrive are counted, and those who were there before are measured; twice, each time anew."""
    for name, value in {"ARRIVING": 12, "STORM_BEFORE": 3, "SETTLE_S": 0.2}.items():
        monkeypatch.setattr(storms, name, value)
    with storms.connection_storm(stage) as take_turn:
        for turn in (take_turn(), take_turn()):
            assert list(turn) == ["worker", "floor"]
            for one in turn.values():
                assert (one.errors, one.viewers, one.window.clients) == ("", 3, 3)
                assert one.connect is not None
                assert one.connect.connected == 12


def test_an_overload(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not overloaded admits everybody; all of them are measured afterwards."""
    for name, value in {"ARRIVING": 12, "OVERLOAD_BEFORE": 3, "SETTLE_S": 0.2, "OVERLOAD_AFTER_S": 0.5}.items():
        monkeypatch.setattr(storms, name, value)
    with storms.overload(stage) as take_turn:
        turn = take_turn()
    assert (turn["arrival"].errors, turn["afterwards"].errors) == ("", "")
    assert turn["arrival"].values == {"refused": 0, "admitted": 12}
    assert {name: one.clients for name, one in turn["afterwards"].window.classes.items()} == {
        "before": 3,
        "arriving": 12,
    }


def test_page_loads(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of all pages arrive while the streams go on."""
    for name, value in {"STREAMS": 2, "PAGES": 3, "SETTLE_S": 0.2, "PAUSE_S": 0.0}.items():
        monkeypatch.setattr(page_loads, name, value)
    with page_loads.page_loads(stage) as take_turn:
        one = take_turn()["worker"]
    assert (one.errors, one.window.clients) == ("", 2)
    assert one.values["files"] > 15
    assert 0 < one.values["seconds"] < 20


def test_two_workers_beside_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two has half of the viewers."""
    for name, value in {"VIEWERS_EACH": 4, "SETTLE_S": 0.2}.items():
        monkeypatch.setattr(processes, name, value)
    with processes.one_and_two_workers(stage) as take_turn:
        turn = take_turn()
    assert {name: (one.errors, one.window.clients) for name, one in turn.items()} == {
        "worker": ("", 4),
        "processes": ("", 8),
    }
    assert turn["processes"].values == {"fewest": 4, "most": 4}
