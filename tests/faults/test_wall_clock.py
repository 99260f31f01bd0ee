"""The wall clock is set, under the ticker and under a worker."""

import time

import pytest

from testbed.faults.wall_clock import WallClock
from testbed.recording.checker import check, smallest_share
from testbed.recording.record import NS_PER_MS, NS_PER_S
from testbed.recording.recorder import Recorder
from tests.faults.conftest import RecordProperty, Stack

HOUR_S = 3_600

# Seconds ahead of the machine's clock, one after the other: by an hour forwards and back, and by 25.
OFFSETS_S = (HOUR_S, 0, -HOUR_S, 0, 25 * HOUR_S, 0, -25 * HOUR_S, 0)

ROW = pytest.mark.fault(
    "the wall clock is set by ±1 h and ±25 h under the ticker, and under a worker",
    "at least 99 % of the ticks; one step each; no viewer disconnected; dead clients still disconnected",
)


@ROW
def test_under_the_ticker(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Each change is one step, and ticks continue from the new time. The leader stays the leader."""
    wall_clock = WallClock(stack.directory)
    stack.leader(environment=wall_clock.environment)
    stack.standby(wall_clock.environment)
    recorder.add(20, [stack.worker().port])
    begin = recorder.run(2)[0]
    own = published_share(recorder, begin)
    for step, offset_s in enumerate(OFFSETS_S, 1):
        recorder.record.ticker_offset_ms[step] = offset_s * 1000
        wall_clock.set(offset_s)
        recorder.run(2)
    span = (begin, time.monotonic_ns())
    ticks, share = published_share(recorder, begin), smallest_share(recorder.record, span)
    steps = max(tick.step for tick in recorder.record.published)
    record_property(
        "measured",
        f"under the ticker: {ticks:.1%} published, {share:.1%} of them received, {steps} steps of {len(OFFSETS_S)}",
    )
    assert check(recorder.record, [span]) == []
    assert {tick.term for tick in recorder.record.published} == {1}
    assert steps == len(OFFSETS_S)
    assert recorder.kept_all_connections()
    assert ticks >= 0.99 * own


def published_share(recorder: Recorder, since_ns: int) -> float:
    """Return the share of 100 ticks a second that were published since a moment."""
    ticks = [tick for tick in recorder.record.published if tick.arrived_ns >= since_ns]
    return (len(ticks) - 1) / ((ticks[-1].arrived_ns - ticks[0].arrived_ns) / (10 * NS_PER_MS))


@ROW
def test_under_a_worker(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Its timeouts use other clocks: it disconnects clients that answer no ping, and no others."""
    wall_clock = WallClock(stack.directory)
    stack.leader()
    options = ["--ping-interval", "3", "--ping-timeout", "3"]
    worker = stack.worker(options=options, environment=wall_clock.environment)
    living = recorder.add(15, [worker.port])
    begin = recorder.run(1)[0]
    dead = recorder.add(5, [worker.port], answers_pings=False)
    for offset_s in OFFSETS_S:
        wall_clock.set(offset_s)
        recorder.run(1.5)
    span = (begin, time.monotonic_ns())
    recorder.record.clients = [client.visits for client in living]
    share = smallest_share(recorder.record, span)
    lives_ns = [visit.closed_ns - visit.opened_ns for client in dead for visit in client.visits if visit.closed_ns]
    record_property(
        "measured",
        f"under a worker: {share:.1%}; {len(lives_ns)} of {len(dead)} dead clients disconnected "
        f"within {max(lives_ns, default=0) / NS_PER_S:.1f} s",
    )
    assert all(len(client.visits) == 1 and client.is_open for client in living)
    assert check(recorder.record, [span]) == []
    assert len(lives_ns) == len(dead)
    assert max(lives_ns) < 8 * NS_PER_S
    assert min(lives_ns) > 2.5 * NS_PER_S
    assert worker.get("/clock/now")[0] == 200
