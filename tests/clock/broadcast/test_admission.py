"""Admission: the limits on viewers, in total and per address."""

import resource

import pytest

from clock.broadcast import admission
from clock.broadcast.admission import ADDRESS, FULL, Admission, Full
from clock.broadcast.fan_out import FanOut
from clock.broadcast.rate_control import FULL_FROM, OVERBOOKING, RateControl


def test_total_limit() -> None:
    """A viewer over the limit is refused. When another one leaves, there is room again."""
    viewers = [object() for _ in range(3)]
    limited = Admission(2, 0)
    limited.admit(viewers[0])
    assert not limited.is_full
    limited.admit(viewers[1])
    assert limited.is_full
    with pytest.raises(Full, match="this worker is full") as caught:
        limited.admit(viewers[2])
    assert caught.value.reason == FULL
    assert len(limited) == 2
    limited.release(viewers[0])
    limited.admit(viewers[2])


def test_releasing_an_unknown_viewer_does_nothing() -> None:
    """The viewer was never admitted, or was released already."""
    limited, viewer = Admission(1, 1), object()
    limited.release(viewer)
    limited.admit(viewer, "192.0.2.1")
    limited.release(viewer)
    limited.release(viewer)
    assert not len(limited)
    limited.admit(viewer, "192.0.2.1")


def test_limit_per_address() -> None:
    """Other addresses are not affected, and no data is kept about released viewers."""
    limited = Admission(0, 2)
    viewers = [object() for _ in range(4)]
    for viewer in viewers[:2]:
        limited.admit(viewer, "192.0.2.1")
    with pytest.raises(Full, match="too many viewers from your address") as caught:
        limited.admit(viewers[2], "192.0.2.1")
    assert caught.value.reason == ADDRESS
    limited.admit(viewers[2], "192.0.2.2")
    limited.release(viewers[0])
    limited.admit(viewers[3], "192.0.2.1")
    for viewer in viewers:
        limited.release(viewer)
    assert not limited._counts
    assert not limited._addresses


def test_a_refused_viewer_is_not_counted() -> None:
    """Neither in total nor for its address."""
    limited = Admission(1, 5)
    limited.admit(1, "192.0.2.1")
    for viewer in range(2, 9):
        with pytest.raises(Full):
            limited.admit(viewer, "192.0.2.1")
        limited.release(viewer)
    assert limited._counts == {"192.0.2.1": 1}


def test_saturation_is_1_when_the_worker_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its viewers, or by its predicted load at the lowest rate. Without a limit it is 0."""
    limited = Admission(4, 0)
    limited.admit(object())
    assert limited.saturation == 0.25
    assert Admission(0, 0).saturation == 0
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    rate_control = RateControl(FanOut())
    by_both = Admission(None, 0, rate_control)
    for _ in range(3):
        by_both.admit(object())
    assert by_both.saturation == 3 / 9
    monkeypatch.setattr(rate_control, "predict", lambda rate: {10: FULL_FROM * OVERBOOKING}[rate])
    assert by_both.saturation == pytest.approx(1), "nobody leaves the rate to the worker"
    assert by_both._rate_control is rate_control
    with pytest.raises(Full):
        by_both.admit(object())


@pytest.mark.parametrize(("maximum", "per_address"), [(0, 0), (0, 1)])
def test_0_is_unlimited(maximum: int, per_address: int) -> None:
    """Viewers without an address do not count towards a limit per address."""
    limited = Admission(maximum, per_address)
    for viewer in range(10_000):
        limited.admit(viewer)
    assert not limited.is_full
    assert limited.needs_addresses == bool(per_address)


@pytest.mark.parametrize(("files", "maximum"), [(20_000, 9_200), (1, 1), (resource.RLIM_INFINITY, 0)])
def test_the_default_follows_from_the_limit_on_open_files(
    monkeypatch: pytest.MonkeyPatch, files: int, maximum: int
) -> None:
    """A page has two connections for a while. If files are unlimited, so are the viewers."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert admission.default_max_viewers() == maximum
    assert Admission(None, 0)._max_viewers == maximum
