"""A wall clock that is set, under the ticker and under a worker."""

import time
from collections.abc import Callable

import pytest

from testbed.faults.wall_clock import WallTime
from testbed.recording.checker import check, least_share
from testbed.recording.recorder import Recorder
from tests.faults.conftest import Stack

Measured = Callable[[str, object], None]

HOUR = 3_600

# Seconds off the machine's clock, one after the other: forwards and back by an hour, and by 25.
SETTINGS = (HOUR, 0, -HOUR, 0, 25 * HOUR, 0, -25 * HOUR, 0)

ROW = pytest.mark.fault(
    "wall clock ±1 h and ±25 h under the ticker, and under a worker",
    "at least 99 % of the ticks, one step, no socket closed, dead peers still reaped",
)


@ROW
def test_under_the_ticker(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Each time is one step, and the ticks go on from the new time; nobody takes over."""
    walltime = WallTime(stack.directory)
    stack.leader(**walltime.environment)
    stack.ticker(**walltime.environment).wait_for_output("standing by")
    recorder.add(20, [stack.worker().port])
    begin = recorder.run(2)[0]
    own = published_share(recorder, begin)
    for step, by in enumerate(SETTINGS, 1):
        recorder.record.clock_set_by[step] = by * 1000
        walltime.set(by)
        recorder.run(2)
    span = (begin, time.monotonic_ns())
    ticks, share = published_share(recorder, begin), least_share(recorder.record, span)
    steps = max(tick.step for tick in recorder.record.published)
    record_property(
        "measured",
        f"under the ticker: {ticks:.1%} published, {share:.1%} of them got, {steps} steps of {len(SETTINGS)}",
    )
    assert check(recorder.record, [span]) == []
    assert {tick.term for tick in recorder.record.published} == {1}
    assert steps == len(SETTINGS)
    assert all(len(client.visits) == 1 and client.is_open for client in recorder.clients)
    assert ticks >= 0.99 * own


def published_share(recorder: Recorder, since: int) -> float:
    """Return how many ticks were published since, of 100 a second."""
    ticks = [tick for tick in recorder.record.published if tick.came >= since]
    return (len(ticks) - 1) / ((ticks[-1].came - ticks[0].came) / 1e7)


@ROW
def test_under_a_worker(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """It goes by other clocks: it closes who does not answer, and nobody else."""
    walltime = WallTime(stack.directory)
    stack.leader()
    worker = stack.worker(options=["--ping-interval", "3", "--ping-timeout", "3"], **walltime.environment)
    living = recorder.add(15, [worker.port])
    begin = recorder.run(1)[0]
    dead = recorder.add(5, [worker.port], answers=False)
    for by in SETTINGS:
        walltime.set(by)
        recorder.run(1.5)
    span = (begin, time.monotonic_ns())
    recorder.record.clients = [client.visits for client in living]
    share = least_share(recorder.record, span)
    reaped = [visit.closed - visit.opened for client in dead for visit in client.visits if visit.closed]
    record_property(
        "measured",
        f"under a worker: {share:.1%}, {len(reaped)} of {len(dead)} reaped within {max(reaped, default=0) / 1e9:.1f} s",
    )
    assert all(len(client.visits) == 1 and client.is_open for client in living)
    assert check(recorder.record, [span]) == []
    assert len(reaped) == len(dead)
    assert max(reaped) < 8e9
    assert min(reaped) > 2.5e9
    assert worker.get("/clock/now")[0] == 200
