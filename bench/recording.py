"""What it costs to record the metrics of a tick, in the ticker and in a worker.

    python -m bench.recording [--runs 300]

Each row is the processor time of a tick: the median of many runs of a thousand, less the loop around them. It is all
that was added to the path of a tick for the metrics: at most 1 µs, in each of the two. It needs an idle core: what
shares the core's caches, or its second thread, doubles the figures.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from bench.report.tables import as_text
from clock.broadcast.arrivals import Arrivals
from clock.broadcast.fan_out import FanOut
from clock.contract import Tick
from clock.process.backoff import Backoff
from clock.redis.comparison import Comparison, RedisClock
from clock.redis.outage import Outage
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import Ticker

TARGET_NS = 1_000
TICKS = 1_000

HEADINGS = ("recorded per tick", "ns", "target", "verdict")

Record = Callable[[int], object]


def nothing(_number: int) -> None:
    """Record nothing: the cost of the loop and of the call."""


def in_the_ticker() -> Record:
    """Return what a ticker records of a tick that was published. It has read the clocks before, in any case."""
    nowhere: Any = None
    publisher = Publisher(
        nowhere, ZoneInfo("UTC"), Outage(Backoff(1.0)), RedisClock(nowhere, nowhere), HostClock(lambda: None)
    )
    metronome = Metronome()
    ticker = Ticker(metronome, publisher, Lease(nowhere, "clock"), Standby(nowhere, 250))
    start_ms = time.time_ns() // 1_000_000

    def record(number: int) -> None:
        ticker.count(start_ms - number % 100, metronome.step, is_published=True)

    return record


def in_a_worker() -> Record:
    """Return what a worker records: the lateness of a tick on arrival, and how long its fan-out took.

    For the latter it reads the clock once more than without metrics, when the tick arrives.
    """
    arrivals = Arrivals(lambda: Comparison("redis", 1_795_351_680_000.0, 0.1))
    fan_out = FanOut()
    started_at = time.perf_counter()
    tick = Tick(1_795_351_680_000, "x", 1, 0, server="redis", margin=0.1)

    def record(number: int) -> None:
        arrivals.record(tick, number / 1_000)
        fan_out.durations.record(time.perf_counter() - started_at)

    return record


def median_ns(record: Record, runs: int) -> float:
    """Return the nanoseconds of processor time of one call."""
    taken_ns = []
    for _ in range(runs):
        started_ns = time.thread_time_ns()
        for number in range(TICKS):
            record(number)
        taken_ns.append(time.thread_time_ns() - started_ns)
    return statistics.median(taken_ns) / TICKS


def main() -> int:
    """Measure and print the table; return 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=300, help="runs of a thousand ticks (default: %(default)d)")
    options = parser.parse_args()
    loop_ns = median_ns(nothing, options.runs)
    rows = []
    for name, record in (("ticker", in_the_ticker()), ("worker", in_a_worker())):
        cost_ns = median_ns(record, options.runs) - loop_ns
        verdict = "pass" if cost_ns <= TARGET_NS else "FAIL"
        rows.append([name, f"{cost_ns:.0f}", f"at most {TARGET_NS}", verdict])
    print(as_text(HEADINGS, rows))
    return int(any(row[-1] != "pass" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
