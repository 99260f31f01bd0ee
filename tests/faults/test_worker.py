"""Workers that stand still, drain, or die."""

import signal
from collections.abc import Callable
from itertools import zip_longest

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.recording.checker import OLDEST, SHARE, check, gap_beyond_the_machine
from testbed.recording.record import MS, Record, Visit
from testbed.recording.recorder import Recorder
from tests.faults.conftest import Stack

Measured = Callable[[str, object], None]

# Frames a second for a crowd: what this machine's one reader can tell apart, beside all else that runs here.
CROWD, CROWD_RATE = 200, 50


def oldest(record: Record, since: int) -> float:
    """Return the age of the oldest frame that came since, in milliseconds; by the wall clock of ticker and machine."""
    return max(
        frame.came / MS + record.wall_offset - frame.at
        for visit in record.visits()
        for frame in visit.frames
        if frame.came >= since
    )


@pytest.mark.fault(
    "worker SIGSTOP for 5 s and SIGCONT", "no frame older than a second relayed; its clients' sockets kept"
)
def test_stopped_and_continued(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """What queued for it in Redis is not passed on."""
    stack.leader()
    worker = stack.worker()
    recorder.add(20, [worker.port])
    before = recorder.run(2)
    worker.signal(signal.SIGSTOP)
    stopped = recorder.run(5)
    worker.signal(signal.SIGCONT)
    recorder.run(2)
    after = recorder.run(2)
    age = oldest(recorder.record, stopped[1])
    record_property("measured", f"{age:.0f} ms at most")
    assert check(recorder.record, [before, after]) == []
    assert all(len(client.visits) == 1 and client.is_open for client in recorder.clients)
    assert age <= OLDEST


@pytest.mark.fault(
    "worker SIGTERM with 200 clients on two workers",
    "every client gets 4012 and is back within 6 s; exit within 25 s; "
    "the other worker's clients see no gap over 100 ms beyond the machine's own",
)
def test_drained(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Its clients move over to the other worker, a few at a time; the balancer sends nobody back."""
    stack.leader()
    going, staying = stack.worker(), stack.worker()
    add_crowd(stack, recorder)
    recorder.run(2)
    going.signal(signal.SIGTERM)
    told = recorder.run(0)[0]
    exited = recorder.run_until(lambda: not going.running, "the worker has ended", 40)
    recorder.run(4)
    after = recorder.run(2)
    movers = [visits for visits in recorder.record.clients if visits[0].closed is not None]
    stayers = [visits[0] for visits in recorder.record.clients if visits[0].closed is None]
    codes = [visit.code for visits in movers for visit in visits if visit.closed is not None]
    told_so = codes.count(CLOSE_GOING_AWAY)
    back = max(map(longest_away, movers), default=0.0)
    gap = max(gap_beyond_the_machine(recorder.record, visit, told) for visit in stayers)
    record_property(
        "measured",
        f"{told_so} of {len(codes)} got 4012; back within {back:.1f} s; exit after {exited:.1f} s; gap {gap:.0f} ms",
    )
    assert going.wait() == 0
    assert staying.running
    assert CROWD * 0.4 < len(movers) == len(codes) == told_so
    assert check(recorder.record, [after], share=SHARE * CROWD_RATE / 100) == []
    assert back <= 6
    assert exited <= 25
    assert gap <= 100


@pytest.mark.fault("worker SIGKILL with 200 clients", "99 % back within 15 s")
def test_killed(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Its clients find out and come back elsewhere, not all at once."""
    stack.leader()
    dying = stack.worker()
    staying = stack.worker(start=False)
    add_crowd(stack, recorder)
    staying.start()
    recorder.run(4)  # until the balancer knows
    dying.kill()
    killed = recorder.run(15)[0]
    back = sorted(
        (client.visits[-1].frames[0].came - killed) / 1e9
        for client in recorder.clients
        if client.is_open and client.visits[-1].opened > killed and client.visits[-1].frames
    )
    record_property("measured", f"{len(back) / CROWD:.1%}, the last after {max(back, default=0):.1f} s")
    assert check(recorder.record) == []
    assert all(visits[0].closed for visits in recorder.record.clients)
    assert len(back) >= 0.99 * CROWD


def add_crowd(stack: Stack, recorder: Recorder) -> None:
    """Let a crowd in through the balancer, which shares it out."""
    port = stack.balancer()
    recorder.run(3)  # until its checks have passed
    recorder.add(CROWD, [port], rate=CROWD_RATE, comes_back=True)


def longest_away(visits: list[Visit]) -> float:
    """Return the longest that a client was between two connections with frames, in seconds; infinity if it still is."""
    longest = 0.0
    for before, after in zip_longest(visits, visits[1:]):
        if before.closed is not None:
            if after is None or not after.frames:
                return float("inf")
            longest = max(longest, (after.frames[0].came - before.closed) / 1e9)
    return longest
