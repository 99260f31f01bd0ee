"""What viewers have noticed of something that was done to the clock."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from testbed.recording.client import Client
from testbed.recording.record import NS_PER_MS, Span
from testbed.recording.recorder import Recorder


@dataclass(frozen=True)
class Outcome:
    """The longest time that a viewer was without frames, and how connections ended (None: without a close code)."""

    longest_gap_ms: float
    closes: Counter[int | None]

    def __str__(self) -> str:
        ends = [f"{count} with {code or 'no code'}" for code, count in self.closes.most_common()]
        return f"gap {self.longest_gap_ms:.0f} ms; connections ended: {', '.join(ends) or 'none'}"


def during(crowd: Recorder, *steps: Callable[[], object], seconds: float = 240.0, after_s: float = 3.0) -> Outcome:
    """Do something, step by step, while the crowd watches, and for some seconds after; return what it noticed.

    All viewers receive frames at the end, or it raises `TooSlow`.
    """
    begin_ns = time.monotonic_ns()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(lambda: [step() for step in steps])
        crowd.run_until(done.done, "the steps are done", seconds)
        done.result()
    crowd.run(after_s)
    crowd.run_until(lambda: all(client.is_open for client in crowd.clients), "all viewers are connected", 30)
    crowd.run_until_flowing()
    return outcome(crowd, (begin_ns, time.monotonic_ns()))


def outcome(crowd: Recorder, span: Span) -> Outcome:
    """Return what the viewers noticed in a span of time."""
    closes = Counter(
        visit.close_code
        for visit in crowd.record.visits()
        if visit.closed_ns is not None and span[0] <= visit.closed_ns < span[1]
    )
    return Outcome(max(longest_gap_ms(client, span) for client in crowd.clients), closes)


def longest_gap_ms(client: Client, span: Span) -> float:
    """Return the longest time without a frame, whatever connections it was on; also at the end of the span."""
    arrived = [frame.arrived_ns for visit in client.visits for frame in visit.frames]
    inside = [moment for moment in arrived if span[0] <= moment < span[1]]
    moments = [span[0], *inside, span[1]]
    return max(after - before for before, after in pairwise(moments)) / NS_PER_MS
