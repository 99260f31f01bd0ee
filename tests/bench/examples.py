"""Made-up samples, in which nothing is wrong."""

from collections.abc import Mapping

from bench.load.results import ClassResult, ConnectResult, Histogram, ProbesResult, WindowResult
from bench.trial.sample import Sample, Turn

RATE = 100


def bucket_of(ms: float) -> int:
    """Return the bucket of a time below 1.28 ms, or the one whose middle is nearest to it."""
    value = int(ms * 100)
    exponent = max(0, value.bit_length() - 7)
    return (exponent << 6) + (value >> exponent)


def window(
    classes: Mapping[str, tuple[int, float]],
    *,
    rate: int = RATE,
    cpu_share: float = 0.4,
    failures: Mapping[str, int] = {},
) -> WindowResult:
    """Return a window of a second; each class has so many clients, all of whose frames are late by so much (ms)."""
    return WindowResult(
        from_ms=0,
        to_ms=1000,
        total_ms=1000,
        seconds=1.0,
        pings=0,
        cpu_share=cpu_share,
        waited_share=0.1,
        lags=Histogram({10: 100}),
        probes=ProbesResult(10, 10, 0, Histogram({bucket_of(0.8): 10})),
        classes={
            name: ClassResult(
                clients=clients,
                frames=rate * clients,
                worst_ticks=rate if clients else 0,
                total_worst_rate=rate if clients else 0,
                largest_gap_ms=20.0,
                duplicates=0,
                steps_back=0,
                lateness=Histogram({bucket_of(late_ms): rate * clients}),
            )
            for name, (clients, late_ms) in classes.items()
        },
        failures=dict(failures),
    )


def sample(
    viewers: int = 800, *, cpu_us: float = 6.0, late_ms: float = 4.0, rate: int = RATE, cpu_share: float = 0.4
) -> Sample:
    """Return a sample of a second: each frame costs so much CPU time, and is late by so much."""
    return Sample(
        viewers=viewers,
        seconds=1.0,
        cpu_ns={"program": round(1000 * cpu_us * viewers * rate)},
        waited_s=0.01,
        memory_bytes=100 << 20,
        published_ticks=100,
        window=window({"viewers": (viewers, late_ms)}, rate=rate, cpu_share=cpu_share),
    )


def connected(viewers: int, seconds: float = 1.0, failures: Mapping[str, int] = {}) -> ConnectResult:
    """Return how viewers connected."""
    return ConnectResult(viewers, seconds, 0, 2.0, dict(failures))


def pair(worker: Sample, floor: Sample) -> Turn:
    """Return a turn of both."""
    return {"worker": worker, "floor": floor}
