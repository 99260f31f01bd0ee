"""What a crowd gets from one worker: every published tick, in order, and how late.

python -m bench.delivery [--viewers 100] [--seconds 60] [--plain]
"""

import argparse
import os
import selectors
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from bench.stack import Broker, Ticker, Worker
from bench.subscriber import CHANNEL, Subscriber, percentile
from bench.viewers import Viewer, connect


def measure(count: int, seconds: float, *, plain: bool) -> tuple[list[Viewer], set[int], float]:
    """Return the viewers, the times of the ticks that were published, and the worker's CPU seconds a second."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory),
            Worker(broker.url, directory, plain=plain) as worker,
        ):
            if len(os.sched_getaffinity(0)) > 1:  # the worker has a core to itself
                cores = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(worker.pid, {cores[0]})
                os.sched_setaffinity(0, set(cores[1:]))
            worker.wait_for_ticks()
            subscriber = Subscriber(broker.port, CHANNEL)
            viewers = [connect(worker.port) for _ in range(count)]
            published: set[int] = set()
            with selectors.DefaultSelector() as selector:
                for viewer in viewers:
                    selector.register(viewer.socket, selectors.EVENT_READ, viewer.read)
                selector.register(
                    subscriber.socket,
                    selectors.EVENT_READ,
                    lambda: published.update(at for _, at, _ in subscriber.read()),
                )
                start, cpu = time.monotonic(), cpu_seconds(worker.pid)
                while (elapsed := time.monotonic() - start) < seconds + 1:
                    for key, _ in selector.select(1):
                        key.data()
                    if sys.stderr.isatty():
                        print(f"\r{elapsed:3.0f} of {seconds + 1:.0f} s", end="", file=sys.stderr)
                cpu = (cpu_seconds(worker.pid) - cpu) / elapsed
    return viewers, published, cpu


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process has used: seconds (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--viewers", type=int, default=100, help="how many (default: %(default)d)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: %(default)g)")
    parser.add_argument("--plain", action="store_true", help="plain Daphne instead of tournament.server")
    options = parser.parse_args()
    viewers, published, cpu = measure(options.viewers, options.seconds, plain=options.plain)

    # Half a second at either end is left out, so that every viewer could have had what is counted.
    first, last = min(published) + 500, max(published) - 500
    counted = {at for at in published if first <= at <= last}
    shares, lateness = [], []
    for viewer in viewers:
        assert all(before < after for before, after in pairwise(viewer.times)), "a viewer saw time stand or go back"
        shares.append(len(counted & set(viewer.times)) / len(counted))
        lateness += [came - at for at, came in zip(viewer.times, viewer.came, strict=True) if at in counted]
    print(f"\n{len(viewers)} viewers, {len(counted)} ticks published in {(last - first) / 1000:.0f} s")
    worst, median = 100 * min(shares), 100 * statistics.median(shares)
    print(f"delivered: {worst:.2f} % to the worst-off viewer, {median:.2f} % at the median")
    p50, p99 = percentile(lateness, 50), percentile(lateness, 99)
    print(f"lateness:  {p50:.1f} ms at the median, {p99:.1f} ms at p99, {max(lateness):.1f} ms at most")
    print(f"worker:    {100 * cpu:.0f} % of a core, {1e6 * cpu / (100 * len(viewers)):.0f} µs a frame")


if __name__ == "__main__":
    main()
