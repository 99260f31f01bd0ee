"""How punctual the ticker is, compared with a bare loop on the same machine in the same run.

    python -m bench.punctuality [--seconds 60] [--docs]

The bare loop is the least work that can publish a tick: `time.sleep` until the next 10 ms boundary, and one `PUBLISH`
on a raw socket. Both publish to the same Redis, and one subscriber records when each tick arrives. The bare loop's
boundaries lie half-way between the ticker's, so that neither waits for the other. Lateness is the time of arrival
minus the tick's own time. With `--docs` the tables also go into docs/benchmarks.md.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.report.machine import describe, in_words
from bench.report.tables import Rows, as_markdown, as_text, between_markers
from clock.contract import TICK_MS
from testbed.processes import ROOT, Broker, Program, Ticker
from testbed.progress import Progress
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

# How much later than the bare loop the ticker may be: by this many milliseconds at the median, by this factor at p99.
MEDIAN_ALLOWANCE_MS = 0.6
P99_ALLOWANCE = 1.5

WARM_UP_S = 1.0

HEADINGS = ("", "ticks", "skipped", "p50 ms", "p95 ms", "p99 ms", "max ms")
TARGET_HEADINGS = ("what", "target", "measured", "verdict")

Ticks = list[tuple[int, float]]


def measure(seconds: float) -> dict[str, Ticks]:
    """Run both; return each tick's time and lateness (milliseconds), by channel."""
    ticks: dict[str, Ticks] = {CHANNEL: [], BARE_CHANNEL: []}
    progress = Progress(seconds + WARM_UP_S)
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
            while (elapsed_s := time.monotonic() - start) < seconds + WARM_UP_S:
                for tick in subscriber.read():
                    if elapsed_s > WARM_UP_S:
                        ticks[tick.channel].append((tick.at, tick.received_ms - tick.at))
                progress.doing("measuring")
            ticker.stop()
            (totals,) = re.findall(r'"(stopped after .*)"', ticker.output())
            progress.done(f"the ticker {totals}")
    return ticks


def figures_row(name: str, ticks: Ticks) -> Sequence[str]:
    """Return a row under `HEADINGS`."""
    times, lateness = zip(*ticks, strict=True)
    skipped = (times[-1] - times[0]) // TICK_MS + 1 - len(times)
    percentiles = [percentile(list(lateness), percent) for percent in (50, 95, 99)]
    return [name, str(len(times)), str(skipped), *(f"{value:.2f}" for value in (*percentiles, max(lateness)))]


def target_rows(ticker: Ticks, bare: Ticks) -> Rows:
    """Return a row under `TARGET_HEADINGS` for each target; the last column is "pass" or "FAIL"."""
    (p50, p99), (bare_p50, bare_p99) = (
        [percentile([late for _, late in ticks], percent) for percent in (50, 99)] for ticks in (ticker, bare)
    )
    later, factor = p50 - bare_p50, p99 / bare_p99
    verdicts = ["pass" if passed else "FAIL" for passed in (later <= MEDIAN_ALLOWANCE_MS, factor <= P99_ALLOWANCE)]
    return [
        ["lateness p50", f"at most {MEDIAN_ALLOWANCE_MS} ms above the bare loop's", f"{later:+.2f} ms", verdicts[0]],
        ["lateness p99", f"at most {P99_ALLOWANCE} times the bare loop's", f"{factor:.2f} times", verdicts[1]],
    ]


def main() -> int:
    """Measure and print the tables; return 0 if both targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure (default: %(default)g)")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()

    ticks = measure(options.seconds)
    rows = [figures_row("ticker", ticks[CHANNEL]), figures_row("bare loop", ticks[BARE_CHANNEL])]
    targets = target_rows(ticks[CHANNEL], ticks[BARE_CHANNEL])
    print(as_text(HEADINGS, rows), as_text(TARGET_HEADINGS, targets), sep="\n\n")
    if options.docs:
        path = ROOT / "docs" / "benchmarks.md"
        conditions = f"On {in_words(describe())}; {options.seconds:g} s."
        text = "\n\n".join([conditions, as_markdown(TARGET_HEADINGS, targets), as_markdown(HEADINGS, rows)])
        path.write_text(between_markers(path.read_text(), text, "punctuality"))
    return int(any(row[-1] != "pass" for row in targets))


if __name__ == "__main__":
    sys.exit(main())
