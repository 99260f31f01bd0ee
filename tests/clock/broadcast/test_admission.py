"""Who is let in: so many altogether, and so many from one address."""

import resource

import pytest

from clock.broadcast import admission
from clock.broadcast.admission import Admission, Full


def test_so_many_and_no_more() -> None:
    """Until one leaves."""
    viewers = [object() for _ in range(3)]
    limited = Admission(2, 0)
    limited.join(viewers[0])
    assert not limited.is_full
    limited.join(viewers[1])
    assert limited.is_full
    with pytest.raises(Full, match="this worker is full"):
        limited.join(viewers[2])
    assert len(limited) == 2
    limited.leave(viewers[0])
    limited.join(viewers[2])


def test_leaving_without_having_been_let_in() -> None:
    """Or twice: nothing happens."""
    limited, viewer = Admission(1, 1), object()
    limited.leave(viewer)
    limited.join(viewer, "192.0.2.1")
    limited.leave(viewer)
    limited.leave(viewer)
    assert not len(limited)
    limited.join(viewer, "192.0.2.1")


def test_so_many_from_one_address() -> None:
    """Others are not concerned, and nothing is kept of who has left."""
    limited = Admission(0, 2)
    viewers = [object() for _ in range(4)]
    for viewer in viewers[:2]:
        limited.join(viewer, "192.0.2.1")
    with pytest.raises(Full, match="too many viewers from your address"):
        limited.join(viewers[2], "192.0.2.1")
    limited.join(viewers[2], "192.0.2.2")
    limited.leave(viewers[0])
    limited.join(viewers[3], "192.0.2.1")
    for viewer in viewers:
        limited.leave(viewer)
    assert not limited._counts
    assert not limited._addresses


def test_who_was_refused_is_not_counted() -> None:
    """Neither altogether nor for the address."""
    limited = Admission(1, 5)
    limited.join(1, "192.0.2.1")
    for viewer in range(2, 9):
        with pytest.raises(Full):
            limited.join(viewer, "192.0.2.1")
        limited.leave(viewer)
    assert limited._counts == {"192.0.2.1": 1}


@pytest.mark.parametrize(("most", "per_address"), [(0, 0), (0, 1)])
def test_0_is_no_limit(most: int, per_address: int) -> None:
    """Without an address there is nothing to count by."""
    limited = Admission(most, per_address)
    for viewer in range(10_000):
        limited.join(viewer)
    assert not limited.is_full
    assert limited.is_by_address == bool(per_address)


@pytest.mark.parametrize(("files", "most"), [(1024, 512), (1, 1), (resource.RLIM_INFINITY, 0)])
def test_the_default_comes_from_the_limit_on_open_files(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    """Half of them; and no limit where that has none."""
    monkeypatch.setattr(admission.resource, "getrlimit", lambda _: (files, files))
    assert Admission(None, 0)._most == most
