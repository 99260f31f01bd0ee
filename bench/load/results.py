"""What the load generator reports: how clients connected, what they received in a window, and how pages loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

BUCKET_MS = 0.01  # the first buckets of a histogram


class Histogram(dict[int, int]):
    """Counts of times by bucket: of 0.01 ms up to 1.28 ms, and above that of 1/64 to 1/128 of the time."""

    @classmethod
    def merged(cls, ones: Iterable[Mapping[int, int]]) -> Self:
        """Return the sum of several."""
        total = cls()
        for one in ones:
            for bucket, count in one.items():
                total[bucket] = total.get(bucket, 0) + count
        return total

    def percentile_ms(self, percent: float) -> float | None:
        """Return the time that `percent` of the times do not exceed, by nearest rank; None if there are none."""
        rank, seen = sum(self.values()) * percent / 100, 0
        for bucket in sorted(self):
            seen += self[bucket]
            if seen > rank:
                return middle_ms(bucket)
        return middle_ms(max(self)) if self else None


def middle_ms(bucket: int) -> float:
    """Return the middle of a bucket: the inverse of `count_time` in report.c."""
    exponent = max(0, (bucket >> 6) - 1)
    return BUCKET_MS * (bucket - (exponent << 6) + 0.5) * (1 << exponent)


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """How clients connected.

    A client is connected when it has the complete 101, a frame, and an answer to each of its requests for `/clock/now`.
    `seconds` is the time until all were, or had failed. A handshake lasts from the start of the TCP connection to the
    complete 101. `failures` are counts by reason.
    """

    connected: int
    seconds: float
    non_200_answers: int
    handshake_p99_ms: float | None
    failures: dict[str, int]


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What the clients of one class received in a window.

    `frames` arrived within the window. Lateness is the wall clock on arrival minus the frame's `at`. `duplicates` and
    `steps_back` count frames whose `at` was equal to or below the previous one. The gap is the longest time that any
    client was without a frame; the start and the end of the window count as frames. `worst_ticks` is how many ticks
    with from_ms <= at < to_ms the worst-off client received, up to 0.3 s after the end; `total_worst_rate` is the
    frames per second of the worst-off client in all its windows since the last clients connected, by the intervals
    between its frames.
    """

    clients: int
    frames: int
    worst_ticks: int
    total_worst_rate: float
    largest_gap_ms: float
    duplicates: int
    steps_back: int
    lateness: Histogram


@dataclass(frozen=True, slots=True)
class ProbesResult:
    """The requests for `/clock/now` in a window. One is `overdue` if the one before it was not answered in time."""

    sent: int
    answered: int
    overdue: int
    times: Histogram


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What all clients received in a window of `seconds`.

    `from_ms` and `to_ms` are milliseconds since the Unix epoch, and `total_ms` is the sum of all windows since the last
    clients connected. `cpu_share` is the load generator's own CPU time, and `waited_share` the time for which it was
    ready but had to wait for a processor, as shares of the window. `lags` has for each frame how long its loop had been
    busy by then: so long the frame may have waited to be read.
    """

    from_ms: int
    to_ms: int
    total_ms: int
    seconds: float
    pings: int
    cpu_share: float
    waited_share: float
    lags: Histogram
    probes: ProbesResult
    classes: dict[str, ClassResult]
    failures: dict[str, int]

    @property
    def frames(self) -> int:
        """The frames of all classes."""
        return sum(one.frames for one in self.classes.values())

    @property
    def clients(self) -> int:
        """The clients of all classes."""
        return sum(one.clients for one in self.classes.values())

    @property
    def lateness(self) -> Histogram:
        """The lateness of the frames of all classes."""
        return Histogram.merged(one.lateness for one in self.classes.values())

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Return the result that `members` describe, with histograms as lists of [bucket, count] or as mappings."""
        probes = dict(members["probes"])
        return cls(
            **{
                **members,
                "lags": _histogram(members["lags"]),
                "probes": ProbesResult(**probes | {"times": _histogram(probes["times"])}),
                "classes": {
                    name: ClassResult(**one | {"lateness": _histogram(one["lateness"])})
                    for name, one in members["classes"].items()
                },
            }
        )


@dataclass(frozen=True, slots=True)
class LoadResult:
    """How many pages loaded, the `seconds` until the last one had all of its files, and the bytes of all answers."""

    loaded: int
    seconds: float
    bytes: int
    failures: dict[str, int]


def _histogram(counts: Iterable[Any] | Mapping[Any, int]) -> Histogram:
    pairs = counts.items() if isinstance(counts, Mapping) else counts
    return Histogram({int(bucket): count for bucket, count in pairs})
