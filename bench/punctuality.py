"""How punctual the ticker is, beside a bare loop on the same machine in the same run.

    python -m bench.punctuality [--seconds 60]

The bare loop is the least that can publish a tick: `time.sleep` to the next 10 ms boundary and one `PUBLISH` on a raw
socket. Both publish to the same Redis, and one subscriber stamps what comes from either. The bare loop's boundaries lie
half way between the ticker's, so that neither waits for the other. Lateness is the time it came less the time it tells.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from clock.contract import TICK_MS
from testbed.processes import Broker, Program, Ticker
from testbed.subscriber import CHANNEL, Subscriber, percentile

BARE_CHANNEL = "bare"

BARE_LOOP = """
import socket, sys, time
redis = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while True:
    now = time.time_ns()
    due = ((now - 5_000_000) // 10_000_000 + 1) * 10_000_000 + 5_000_000
    time.sleep((due - now) / 1e9)
    payload = b'{"at": %d}' % (due // 1_000_000)
    redis.sendall(b"*3\\r\\n$7\\r\\nPUBLISH\\r\\n$4\\r\\nbare\\r\\n$%d\\r\\n%s\\r\\n" % (len(payload), payload))
    redis.recv(64)
"""

# What the ticker may be later than the bare loop: milliseconds at the median, and a factor at p99.
MEDIAN_ALLOWANCE = 0.6
P99_ALLOWANCE = 1.5


def measure(seconds: float) -> dict[str, list[tuple[int, float]]]:
    """Run both for so long and return, by channel, each tick's time and lateness (milliseconds)."""
    heard: dict[str, list[tuple[int, float]]] = {CHANNEL: [], BARE_CHANNEL: []}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory) as ticker,
            Program("bare", [sys.executable, "-c", BARE_LOOP, str(broker.port)], directory),
        ):
            ticker.wait_for_output("publishing the time")
            subscriber = Subscriber(broker.port, CHANNEL, BARE_CHANNEL)
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < seconds + 1:
                for channel, at, came in subscriber.read():
                    if elapsed > 1:  # by then both run smoothly
                        heard[channel].append((at, came - at))
                if sys.stderr.isatty():
                    print(f"\r{elapsed:3.0f} of {seconds + 1:.0f} s", end="", file=sys.stderr)
            ticker.stop()
            print(f"\nthe ticker says: {ticker.output().splitlines()[-1].partition(': ')[2]}\n")
    return heard


def main() -> int:
    """Measure, print the table, and return 0 if the ticker is as punctual as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure (default: %(default)g)")
    heard = measure(parser.parse_args().seconds)

    print(f"{'':10} {'ticks':>6} {'skipped':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    figures = {}
    for name, channel in (("ticker", CHANNEL), ("bare loop", BARE_CHANNEL)):
        times, lateness = zip(*heard[channel], strict=True)
        skipped = (times[-1] - times[0]) // TICK_MS + 1 - len(times)
        p50, p95, p99 = (percentile(list(lateness), percent) for percent in (50, 95, 99))
        figures[name] = (p50, p99)
        print(f"{name:10} {len(times):6} {skipped:8} {p50:8.2f} {p95:8.2f} {p99:8.2f} {max(lateness):8.2f}")

    later = figures["ticker"][0] - figures["bare loop"][0]
    factor = figures["ticker"][1] / figures["bare loop"][1]
    passed = [later <= MEDIAN_ALLOWANCE, factor <= P99_ALLOWANCE]
    words = ["pass" if one else "FAIL" for one in passed]
    print(f"\nmedian: {later:+.2f} ms on the bare loop (at most +{MEDIAN_ALLOWANCE})  {words[0]}")
    print(f"p99:    {factor:.2f} times the bare loop's (at most {P99_ALLOWANCE})  {words[1]}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
