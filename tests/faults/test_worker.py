"""Workers that stand still, drain, or die."""

import signal
import time
from itertools import zip_longest

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.accounting import waited_s
from testbed.recording.checker import MAX_AGE_MS, SHARE, check, gap_beyond_the_machine_ms
from testbed.recording.record import NS_PER_MS, NS_PER_S, Record, Visit, Waits
from testbed.recording.recorder import Recorder
from tests.faults.conftest import RecordProperty, Stack

# A crowd, and its rate: as many frames a second as the one recorder can read in time beside all else that runs.
CROWD, CROWD_RATE = 200, 50


def oldest_ms(record: Record, since_ns: int) -> float:
    """Return the age of the oldest frame that arrived since a moment, by the wall clock of ticker and machine."""
    return max(
        frame.arrived_ns / NS_PER_MS + record.wall_offset_ms - frame.at
        for visit in record.visits()
        for frame in visit.frames
        if frame.arrived_ns >= since_ns
    )


@pytest.mark.fault(
    "a worker gets SIGSTOP for 5 s and then SIGCONT", "no frame older than a second; its viewers stay connected"
)
def test_a_worker_that_stood_still_sends_nothing_old(
    stack: Stack, recorder: Recorder, record_property: RecordProperty
) -> None:
    """It drops the ticks that waited in its connection to Redis."""
    stack.leader()
    worker = stack.worker()
    recorder.add(20, [worker.port])
    before = recorder.run(2)
    worker.signal(signal.SIGSTOP)
    stopped = recorder.run(5)
    worker.signal(signal.SIGCONT)
    recorder.run(2)
    after = recorder.run(2)
    age_ms = oldest_ms(recorder.record, stopped[1])
    record_property("measured", f"at most {age_ms:.0f} ms old")
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert age_ms <= MAX_AGE_MS


@pytest.mark.fault(
    "one of two workers with 200 viewers gets SIGTERM and drains",
    "every viewer gets 4012 and is back within 6 s; exit within 25 s; "
    "viewers of the other worker see no gap over 100 ms beyond the machine's own",
    readme=True,
)
def test_a_drain_moves_viewers_to_another_worker(
    stack: Stack, recorder: Recorder, record_property: RecordProperty
) -> None:
    """Its viewers move to the other worker, a few at a time. The load balancer sends none of them back."""
    stack.leader()
    draining, staying = stack.worker(), stack.worker()
    add_crowd(stack, recorder)
    recorder.run(2)
    draining.signal(signal.SIGTERM)
    begin_ns = recorder.run(0)[0]
    waits: Waits = []

    def has_ended() -> bool:
        waits.append((time.monotonic_ns(), waited_s(staying.pid)))
        return not draining.running

    exited_s = recorder.run_until(has_ended, "the worker has ended", 40)
    recorder.run(3)
    after = recorder.run(2)
    movers = [visits for visits in recorder.record.clients if visits[0].closed_ns is not None]
    stayers = [visits[0] for visits in recorder.record.clients if visits[0].closed_ns is None]
    codes = [visit.close_code for visits in movers for visit in visits if visit.closed_ns is not None]
    going_away = codes.count(CLOSE_GOING_AWAY)
    back_s = max(map(longest_absence_s, movers), default=0.0)
    gap_ms = max(gap_beyond_the_machine_ms(recorder.record, visit, begin_ns, waits=waits) for visit in stayers)
    record_property(
        "measured",
        f"{going_away} of {len(codes)} got 4012; back within {back_s:.1f} s; exit after {exited_s:.1f} s; "
        f"gap {gap_ms:.0f} ms",
    )
    assert draining.wait() == 0
    assert staying.running
    assert CROWD * 0.4 < len(movers) == len(codes) == going_away
    assert check(recorder.record, [after], share=SHARE * CROWD_RATE / 100) == []
    assert back_s <= 6
    assert exited_s <= 25
    assert gap_ms <= 100


@pytest.mark.fault("a worker with 200 viewers gets SIGKILL", "99 % are back within 15 s", readme=True)
def test_viewers_of_a_killed_worker_reconnect(
    stack: Stack, recorder: Recorder, record_property: RecordProperty
) -> None:
    """They find that their connections are closed, and reconnect to another worker, not all at once."""
    stack.leader()
    dying = stack.worker()
    staying = stack.worker(start=False)
    add_crowd(stack, recorder)
    staying.start()
    recorder.run(4)  # until the load balancer knows
    dying.kill()
    killed_ns = recorder.run(0)[0]

    def back_s() -> list[float]:
        """Return after how many seconds each client had its first frame again."""
        return sorted(
            (client.visits[-1].frames[0].arrived_ns - killed_ns) / NS_PER_S
            for client in recorder.clients
            if client.is_open and client.visits[-1].opened_ns > killed_ns and client.visits[-1].frames
        )

    recorder.run_until(lambda: len(back_s()) >= 0.99 * CROWD, "99 % are back", 15)
    recorder.run(2)
    back = back_s()
    record_property("measured", f"{len(back) / CROWD:.1%}, the last after {max(back, default=0):.1f} s")
    assert check(recorder.record) == []
    assert all(visits[0].closed_ns for visits in recorder.record.clients)
    assert len(back) >= 0.99 * CROWD


def add_crowd(stack: Stack, recorder: Recorder) -> None:
    """Connect a crowd through the load balancer, which spreads it over the workers."""
    port = stack.balancer()
    recorder.run(3)  # until its checks have passed
    recorder.add(CROWD, [port], rate=CROWD_RATE, reconnects=True)


def longest_absence_s(visits: list[Visit]) -> float:
    """Return the longest time between two connections with frames, in seconds; infinity if the client is not back."""
    longest = 0.0
    for before, after in zip_longest(visits, visits[1:]):
        if before.closed_ns is not None:
            if after is None or not after.frames:
                return float("inf")
            longest = max(longest, (after.frames[0].arrived_ns - before.closed_ns) / NS_PER_S)
    return longest
