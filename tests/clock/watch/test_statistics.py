"""The statistics of viewers, by a fake clock."""

import pytest

from clock.watch.failure import Kind
from clock.watch.statistics import LONG_GAP_MS, Statistics, Viewer
from clock.watch.summary import final_failure


def feed(statistics: Statistics, viewer: Viewer, start: int, end: int, *, period: int = 10, late: float = 1.0) -> None:
    """Have a viewer receive frames from a time on, up to another, excluded."""
    for now in range(start, end, period):
        statistics.add_frame(viewer, float(now), now, f"at {now}", late)


def test_one_viewer() -> None:
    """The rate is from the first frame to now; the newest message is kept."""
    statistics = Statistics(1, 10)
    assert not statistics.all_have_frames
    feed(statistics, statistics.viewers[0], 50_000, 52_000)
    total = statistics.total(52_000.0)
    assert total.frames == 200
    assert total.rate == pytest.approx(99.5)
    assert total.longest_gap == 10
    assert total.lateness == (1.0, 1.0, 1.0)
    assert (statistics.newest_at, statistics.newest_message) == (51_990, "at 51990")


def test_a_gap_counts_before_it_ends() -> None:
    """Also at the end: a stream that stopped must not look good."""
    statistics = Statistics(1, 10)
    feed(statistics, statistics.viewers[0], 0, 1_000)
    for span in (statistics.total(1_490.0), statistics.recent(1_490.0)):
        assert span.longest_gap == 500
    assert statistics.total(1_490.0).long_gaps == 1
    assert statistics.total(1_490.0).rate == pytest.approx(99 / 1.49)


def test_the_last_seconds() -> None:
    """What is older than ten seconds counts only in the total."""
    statistics = Statistics(1, 10)
    viewer = statistics.viewers[0]
    feed(statistics, viewer, 0, 1_000, late=90.0)
    feed(statistics, viewer, 3_000, 30_000, late=2.0)
    recent, total = statistics.recent(30_000.0), statistics.total(30_000.0)
    assert recent.rate == pytest.approx(100, abs=0.2)
    assert (recent.longest_gap, recent.long_gaps) == (10, 0)
    assert recent.lateness == (2.0, 2.0, 2.0)
    assert (total.longest_gap, total.long_gaps) == (2_010, 1)
    assert total.lateness == (2.0, 2.0, 90.0)
    assert len(statistics._seconds) <= 11


def test_of_several_viewers_the_worst_counts() -> None:
    """The lowest rate, the longest gap, the highest p99; the rate of the last seconds is the mean."""
    statistics = Statistics(3, 10)
    fast, slow, late = statistics.viewers
    feed(statistics, fast, 0, 10_000)
    feed(statistics, slow, 0, 10_000, period=50)
    feed(statistics, late, 0, 10_000, late=30.0)
    total = statistics.total(10_000.0)
    assert total.rate == pytest.approx(19.9)
    assert total.longest_gap == 50
    assert statistics.worst_p99() == 30.0
    assert statistics.recent(10_000.0).rate == pytest.approx((100 + 20 + 100) / 3, rel=0.01)


def test_the_worst_p99_is_unknown_if_it_is_of_one_viewer() -> None:
    """Its lateness was never known."""
    statistics = Statistics(2, 10)
    feed(statistics, statistics.viewers[0], 0, 100)
    statistics.add_frame(statistics.viewers[1], 5.0, 5, "", None)
    assert statistics.worst_p99() is None


def test_which_gaps_are_long() -> None:
    """At a low rate, those above two periods."""
    assert Statistics(1, 10).long_gap_ms == LONG_GAP_MS
    assert Statistics(1, 1_000).long_gap_ms == 2_000


def test_a_lost_stream() -> None:
    """A viewer that has received nothing for more than two seconds has lost its stream; the others do not count."""
    statistics = Statistics(2, 10)
    for viewer in statistics.viewers:
        viewer.is_connected = True
    good, lost = statistics.viewers
    assert final_failure(statistics, 0.0) is not None, "no frames yet"
    feed(statistics, lost, 0, 1_000)
    feed(statistics, good, 0, 3_500)
    assert final_failure(statistics, 2_900.0) is None
    failure = final_failure(statistics, 3_500.0)
    assert failure is not None
    assert failure.kind is Kind.SILENT
    assert str(failure).startswith("no frame for the last 2.5 s")
