"""Admission: the limits on viewers, in total and per address."""

import resource

import pytest

from clock.broadcast import admission
from clock.broadcast.admission import Admission, Full


def test_total_limit() -> None:
    """A viewer over the limit is refused. When another one leaves, there is room again."""
    viewers = [object() for _ in range(3)]
    limited = Admission(2, 0)
    limited.admit(viewers[0])
    assert not limited.is_full
    limited.admit(viewers[1])
    assert limited.is_full
    with pytest.raises(Full, match="this worker is full"):
        limited.admit(viewers[2])
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
    with pytest.raises(Full, match="too many viewers from your address"):
        limited.admit(viewers[2], "192.0.2.1")
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
