"""What the load generator reports can be computed with: its histograms are those of its C program."""

import json

import pytest

from bench.load.results import Histogram, WindowResult, middle_ms
from tests.bench.examples import window


@pytest.mark.parametrize(
    ("bucket", "low_ms", "high_ms"),
    [(0, 0.0, 0.01), (127, 1.27, 1.28), (128, 1.28, 1.3), (191, 2.54, 2.56), (192, 2.56, 2.6), (704, 655.36, 665.6)],
)
def test_buckets_adjoin(bucket: int, low_ms: float, high_ms: float) -> None:
    """Of 0.01 ms at first, and then of 1/64 to 1/128 of the value."""
    assert low_ms < middle_ms(bucket) < high_ms
    assert middle_ms(bucket) < middle_ms(bucket + 1)


def test_percentiles_are_those_of_the_sorted_times() -> None:
    """By nearest rank, of the middle of the bucket; none without times."""
    one = Histogram({10: 50, 20: 49, 30: 1})
    assert one.percentile_ms(0) == middle_ms(10)
    assert one.percentile_ms(50) == middle_ms(20)
    assert one.percentile_ms(98) == middle_ms(20)
    assert one.percentile_ms(99) == middle_ms(30)
    assert one.percentile_ms(100) == middle_ms(30)
    assert Histogram().percentile_ms(50) is None


def test_histograms_add_up() -> None:
    """Bucket by bucket."""
    assert Histogram.merged([Histogram({1: 2, 3: 4}), Histogram({3: 1})]) == {1: 2, 3: 5}


def test_a_window_is_read_from_json() -> None:
    """The C program prints histograms as lists of pairs."""
    read = WindowResult.from_json(
        json.loads(
            """{"from_ms": 0, "to_ms": 1000, "total_ms": 1000, "seconds": 1.0, "pings": 0, "cpu_share": 0.5,
            "waited_share": 0.1, "lags": [[1, 100]], "failures": {},
            "probes": {"sent": 2, "answered": 1, "overdue": 0, "times": [[5, 1]]},
            "classes": {"viewers": {"clients": 1, "frames": 100, "worst_ticks": 100, "total_worst_rate": 100.0,
              "largest_gap_ms": 11.0, "duplicates": 0, "steps_back": 0, "lateness": [[100, 60], [200, 40]]}}}"""
        )
    )
    assert (read.clients, read.frames) == (1, 100)
    assert read.lateness == {100: 60, 200: 40}
    assert read.probes.times == {5: 1}


def test_a_window_sums_its_classes() -> None:
    """Frames, clients and lateness."""
    both = window({"one": (10, 4.0), "two": (5, 9.0)})
    assert both.clients == 15
    assert both.frames == sum(both.lateness.values()) == 1500
