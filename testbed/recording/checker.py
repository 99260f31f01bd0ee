"""The checker: reads the record of a run and reports which of the clock's guarantees were broken."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from clock.contract import TICK_MS
from testbed.recording.record import NS_PER_MS, NS_PER_S, Frame, Record, Span, Visit, Waits

# A client never receives an older tick.
MAX_AGE_MS = 1_000

# At most so many frames arrive within so many milliseconds.
MAX_BURST, BURST_MS = 5, 10

# The share of the published ticks that a healthy client receives at least.
SHARE = 0.99

# The orders of a tick, by its `at`: all pairs of `term` and `step` with which that time was published.
Orders = dict[int, set[tuple[int, int]]]


def check(record: Record, healthy: Sequence[Span] = (), *, share: float = SHARE) -> list[str]:
    """Return what was wrong, one line each; an empty list if nothing was.

    At any time: `at` rises on a connection, except where `step` does; each frame was published; no frame of a lower
    term follows one of a higher term; no frame is older than `MAX_AGE_MS`; there are no bursts.

    In each healthy span, besides, ticks are published, and each connected client receives `share` of them, less those
    that the subscriber itself read too late to tell apart.
    """
    if not record.published:
        return ["nothing was published"]
    if not any(visit.frames for visit in record.visits()):
        return ["no client received anything"]
    orders: Orders = defaultdict(set)
    for tick in record.published:
        orders[tick.at].add((tick.term, tick.step))
    faults = [fault for span in healthy for fault in _silence(span, record)]
    for number, visits in enumerate(record.clients):
        for visit in visits:
            found = (
                *_order(visit.frames, orders, (record.published[0].arrived_ns, record.published[-1].arrived_ns)),
                *_ages(visit.frames, orders, record),
                *_bursts(visit.frames),
                *(fault for span in healthy for fault in _missed(visit, span, record, share)),
            )
            faults += [f"client {number}: {fault}" for fault in found]
    return faults


def _silence(span: Span, record: Record) -> Iterator[str]:
    """Find a healthy span in which less than half of the ticks were published, which happens on no machine."""
    count = sum(span[0] <= tick.arrived_ns < span[1] for tick in record.published)
    if count < (span[1] - span[0]) / (2 * TICK_MS * NS_PER_MS):
        yield f"{count} ticks were published in {(span[1] - span[0]) / NS_PER_S:.1f} s"


def _order(frames: Sequence[Frame], orders: Orders, subscribed: Span) -> Iterator[str]:
    """Find frames that go back or repeat without a `step`, that were never published, or that follow a higher term."""
    last, term, step = None, 0, 0
    for frame in frames:
        known = orders.get(frame.at)
        if not known and not subscribed[0] < frame.arrived_ns <= subscribed[1]:
            continue  # the subscriber had not subscribed yet, or had not read it when the record ended
        if not known:
            yield f"{frame.at} was never published"
            continue
        if max(known)[0] < term:
            yield f"{frame.at} is of term {max(known)[0]}, and follows one of term {term}"
            continue
        rose = last is None or frame.at > last
        steps = [one for _, one in known if one > step or (rose and one == step)]
        if not rose and not steps:
            yield f"{frame.at} follows {last}, and the clock was not set between them"
        last, step = frame.at, min(steps, default=step)
        term = max(term, min(known)[0])


def _ages(frames: Sequence[Frame], orders: Orders, record: Record) -> Iterator[str]:
    """Find old frames. A frame arrived after its reader was last ready, so it is at least as old as it was then."""
    for frame in frames:
        ready_ms = frame.ready_ns / NS_PER_MS + record.wall_offset_ms
        known = orders.get(frame.at, {(0, 0)})
        age_ms = min(ready_ms + record.ticker_offset_ms.get(step, 0) - frame.at for _, step in known)
        if age_ms > MAX_AGE_MS:
            yield f"{frame.at} arrived {age_ms:.0f} ms late"


def _bursts(frames: Sequence[Frame]) -> Iterator[str]:
    """Find the first burst. A late reader may find one more frame for each tick of its lateness."""
    first = 0
    for last, frame in enumerate(frames):
        while frame.arrived_ns - frames[first].arrived_ns > BURST_MS * NS_PER_MS:
            first += 1
        late_ns = max(one.arrived_ns - one.ready_ns for one in (frames[first], frame))
        excused = late_ns // (TICK_MS * NS_PER_MS)
        count = last - first + 1
        if count > MAX_BURST + excused:
            yield f"{count} frames in {BURST_MS} ms, {frames[first].at} to {frame.at} (the reader excuses {excused})"
            return


def _missed(visit: Visit, span: Span, record: Record, share: float) -> Iterator[str]:
    """Find a connected client that missed ticks. Ticks that the subscriber read together may have arrived together."""
    due, apart, received = _count(visit, span, record)
    # Up to two frames at the ends of the span may lie on its other side. A share says nothing about less than a second.
    if due >= 1000 // TICK_MS and received + 2 < (share - (1 - apart / due)) * due:
        yield f"{received} of {due} ticks arrived ({apart} of them apart from others)"


def smallest_share(record: Record, span: Span) -> float:
    """Return the share of the published ticks that the client with the fewest received."""
    counts = [_count(visit, span, record) for visit in record.visits()]
    return min((received / due for due, _, received in counts if due), default=0.0)


def _count(visit: Visit, span: Span, record: Record) -> tuple[int, int, int]:
    """Return how many ticks were published while a client was connected, how many apart, and how many it received."""
    begin = max(span[0], visit.opened_ns)
    end = min(span[1], visit.closed_ns or span[1])
    first, last = (bisect_left(record.published, moment, key=lambda tick: tick.arrived_ns) for moment in (begin, end))
    published = record.published[first:last]
    due = len({(tick.step, tick.at) for tick in published})
    apart = min(due, len({tick.arrived_ns for tick in published}))
    return due, apart, sum(begin <= frame.arrived_ns < end for frame in visit.frames)


def gap_beyond_the_machine_ms(
    record: Record, visit: Visit, since_ns: int, until_ns: int | None = None, waits: Waits | None = None
) -> float:
    """Return the longest time that a client was without frames, less the machine's own part in it, in milliseconds.

    If the ticker, Redis or the recorder had no processor, the subscriber had no ticks either: its longest gap in that
    time is the machine's. What the worker waited for a processor is given by `waits`.
    """
    arrived = [tick.arrived_ns for tick in record.published]
    silences = [(before, after) for before, after in pairwise(arrived) if after - before > 2 * TICK_MS * NS_PER_MS]
    longest_ms = 0.0
    for gap_ms, begin, end in visit.gaps():
        if begin >= since_ns and (until_ns is None or end <= until_ns) and gap_ms > longest_ms:
            own_ns = max((after - before for before, after in silences if before < end and after > begin), default=0)
            longest_ms = max(longest_ms, gap_ms - own_ns / NS_PER_MS - 1000 * _waited_s(waits or [], begin, end))
    return longest_ms


def _waited_s(waits: Waits, begin: int, end: int) -> float:
    if not waits:
        return 0.0
    first = max(0, bisect_left(waits, (begin, 0.0)) - 1)
    last = min(len(waits) - 1, bisect_left(waits, (end, 0.0)))
    return waits[last][1] - waits[first][1]
