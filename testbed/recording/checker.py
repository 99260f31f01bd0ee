"""The checker: reads what is on record of a run, and says which of the clock's promises were broken in it."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from clock.contract import TICK_MS
from testbed.recording.record import MS, Frame, Record, Visit

# Milliseconds: no client is given a tick that is older.
OLDEST = 1_000

# Frames that may come within so many milliseconds.
BURST, BURST_MS = 5, 10

# The share of the published ticks that a healthy client gets.
SHARE = 0.99

# A span of time: from when until when, nanoseconds of the monotonic clock.
Span = tuple[int, int]


def check(record: Record, healthy: Sequence[Span] = (), *, share: float = SHARE) -> list[str]:
    """Return what was wrong, one line each; nothing if all was right.

    In `healthy` spans of time every client that was there gets its ticks: a share of those that were published, less
    what the reader of the record was itself too late to tell apart.
    """
    if not record.published:
        return ["nothing was published"]
    if not any(visit.frames for visit in record.visits()):
        return ["no client got anything"]
    orders = defaultdict(set)
    for tick in record.published:
        orders[tick.at].add((tick.term, tick.step))
    faults = [fault for span in healthy for fault in _silence(span, record)]
    for number, visits in enumerate(record.clients):
        for visit in visits:
            found = (
                *_order(visit.frames, orders, (record.published[0].came, record.published[-1].came)),
                *_ages(visit.frames, orders, record),
                *_bursts(visit.frames),
                *(fault for span in healthy for fault in _missed(visit, span, record, share)),
            )
            faults += [f"client {number}: {fault}" for fault in found]
    return faults


def _silence(span: Span, record: Record) -> Iterator[str]:
    """Where all is well there are ticks: half of them at least, on any machine."""
    count = sum(span[0] <= tick.came < span[1] for tick in record.published)
    if count < (span[1] - span[0]) / (2 * TICK_MS * MS):
        yield f"{count} ticks were published in {(span[1] - span[0]) / 1e9:.1f} s"


def _order(frames: Sequence[Frame], orders: dict[int, set[tuple[int, int]]], heard: Span) -> Iterator[str]:
    """`at` rises, but where `step` does; no tick comes that nobody published, or after one of a higher term."""
    last, term, step = None, 0, 0
    for frame in frames:
        known = orders.get(frame.at)
        if not known and not heard[0] < frame.came <= heard[1]:
            continue  # the subscriber had not begun to hear, or not read so far when the record ended
        if not known:
            yield f"{frame.at} was never published"
            continue
        if max(known)[0] < term:
            yield f"{frame.at} is of term {max(known)[0]}, and came after one of term {term}"
            continue
        rose = last is None or frame.at > last
        steps = [one for _, one in known if one > step or (rose and one == step)]
        if not rose and not steps:
            yield f"{frame.at} came after {last}, and the clock was not set between"
        last, step = frame.at, min(steps, default=step)
        term = max(term, min(known)[0])


def _ages(frames: Sequence[Frame], orders: dict[int, set[tuple[int, int]]], record: Record) -> Iterator[str]:
    """No frame is old when it comes. It came after its reader last looked, so it is at least so old."""
    for frame in frames:
        told = frame.looked / MS + record.wall_offset
        age = min(told + record.clock_set_by.get(step, 0) - frame.at for _, step in orders.get(frame.at, {(0, 0)}))
        if age > OLDEST:
            yield f"{frame.at} came {age:.0f} ms late"


def _bursts(frames: Sequence[Frame]) -> Iterator[str]:
    """Not too many frames come at once. What the reader let lie may be as many as there were ticks meanwhile."""
    first = 0
    for last, frame in enumerate(frames):
        while frame.came - frames[first].came > BURST_MS * MS:
            first += 1
        lay = max(one.came - one.looked for one in (frames[first], frame)) // (TICK_MS * MS)
        count = last - first + 1
        if count > BURST + lay:
            yield f"{count} frames in {BURST_MS} ms, {frames[first].at} to {frame.at} ({lay} more were excused)"
            return


def _missed(visit: Visit, span: Span, record: Record, share: float) -> Iterator[str]:
    """Find a connected client that missed ticks. Ticks that the recorder read together may have arrived together."""
    due, apart, got = _count(visit, span, record)
    # A frame or two at each end may have come on the other side of it. Of less than a second, a share says nothing.
    if due >= 1000 // TICK_MS and got + 2 < (share - (1 - apart / due)) * due:
        yield f"{got} of {due} ticks came ({apart} of them apart from others)"


def least_share(record: Record, span: Span) -> float:
    """Return what share of the published ticks came to the client that got the fewest."""
    counts = [_count(visit, span, record) for visit in record.visits()]
    return min((got / due for due, _, got in counts if due), default=0.0)


def _count(visit: Visit, span: Span, record: Record) -> tuple[int, int, int]:
    """Return how many ticks were published while a client was there, how many of them apart, and how many it got."""
    begin = max(span[0], visit.opened)
    end = min(span[1], visit.closed or span[1])
    first, last = (bisect_left(record.published, moment, key=lambda tick: tick.came) for moment in (begin, end))
    published = record.published[first:last]
    due = len({(tick.step, tick.at) for tick in published})
    apart = min(due, len({tick.came for tick in published}))
    return due, apart, sum(begin <= frame.came < end for frame in visit.frames)


def gap_beyond_the_machine(
    record: Record, visit: Visit, since: int, until: int | None = None, waits: Sequence[tuple[int, float]] = ()
) -> float:
    """Return the longest that a client was without frames, less what the subscriber was in that time; milliseconds.

    What keeps ticker, Redis or the reader from running keeps the subscriber's ticks, too. So does what keeps the worker
    from running, but nobody hears of that: `waits` are moments, and for how many seconds the worker had waited for a
    processor by then.
    """
    came = [tick.came for tick in record.published]
    silences = [(before, after) for before, after in pairwise(came) if after - before > 2 * TICK_MS * MS]
    longest = 0.0
    for gap, begin, end in visit.gaps():
        if begin >= since and (until is None or end <= until) and gap > longest:
            own = max((after - before for before, after in silences if before < end and after > begin), default=0)
            longest = max(longest, gap - own / MS - 1000 * _waited(waits, begin, end))
    return longest


def _waited(waits: Sequence[tuple[int, float]], begin: int, end: int) -> float:
    if not waits:
        return 0.0
    first = max(0, bisect_left(waits, (begin, 0.0)) - 1)
    last = min(len(waits) - 1, bisect_left(waits, (end, 0.0)))
    return waits[last][1] - waits[first][1]
