"""A histogram: how many values lay between which bounds. To record one takes a fraction of a microsecond.

prometheus_client's own takes several, for its locks and labels, and the code that records runs 100 times a second while
a tick waits. `python -m bench.recording` measures it.
"""

from bisect import bisect_left
from typing import Final

from prometheus_client.core import HistogramMetricFamily

# The upper bounds of the buckets, in seconds. One more bucket is for what is above the last.
BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

# A value above this counts as this: whoever can publish to Redis can make a tick seem late by centuries, and that must
# not make the sum useless.
MAX_S: Final = 60.0


class Histogram:
    """Counts of durations, by `BOUNDS_S`."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def record(self, value_s: float) -> None:
        """Count a duration in seconds. A negative one, which can only be an error of measurement, counts as 0."""
        if not 0.0 <= value_s <= MAX_S:
            value_s = 0.0 if value_s < 0.0 else MAX_S
        self._counts[bisect_left(BOUNDS_S, value_s)] += 1
        self._sum_s += value_s

    def metric(self, name: str, documentation: str) -> HistogramMetricFamily:
        """Return it as a metric for Prometheus. The name ends with `_seconds`."""
        total, buckets = 0, []
        for bound_s, count in zip((*BOUNDS_S, float("inf")), self._counts, strict=True):
            total += count
            buckets.append((str(bound_s) if bound_s < float("inf") else "+Inf", float(total)))
        return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self._sum_s)
