"""Two workers on one port, of which one dies, stands still or drains, while newcomers connect."""

import json
import os
import signal
import sys
import time
from typing import Any

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.accounting import waited_s
from testbed.processes import Program
from testbed.recording.checker import MAX_AGE_MS, SHARE, check, gap_beyond_the_machine_ms
from testbed.recording.record import NS_PER_S, Waits
from testbed.recording.recorder import Recorder
from testbed.workers import Workers
from tests.faults.conftest import RecordProperty, Stack
from tests.faults.test_worker import CROWD, CROWD_RATE, longest_absence_s, oldest_ms

NEWCOMERS_PER_S = 50


def start(stack: Stack, recorder: Recorder, crowd: int = CROWD, *, reconnects: bool = True) -> Workers:
    """Start two workers on one port, and connect a crowd."""
    stack.leader()
    workers = Workers(stack.broker.url, stack.directory)
    stack.workers.append(workers)
    workers.start()
    workers.wait_for_ticks()
    recorder.add(crowd, [workers.port], rate=CROWD_RATE, reconnects=reconnects)
    recorder.run(2)
    return workers


def send_newcomers(stack: Stack, workers: Workers, seconds: float) -> Program:
    """Have newcomers connect for so many seconds."""
    arguments = ["--port", workers.port, "--per-second", NEWCOMERS_PER_S, "--seconds", seconds]
    return stack.run(
        Program(
            "newcomers", [sys.executable, "-m", "testbed.recording.newcomers", *map(str, arguments)], stack.directory
        )
    )


def report_of(recorder: Recorder, program: Program) -> dict[str, Any]:
    """Record until all newcomers have left, and return what happened to them."""
    recorder.run_until(lambda: not program.running, "all newcomers have left", 90)
    report: dict[str, Any] = json.loads(program.output().splitlines()[-1])
    return report


@pytest.mark.fault(
    "one of two workers on one port gets SIGKILL (200 viewers, 50 more connect per second)",
    "99 % of its viewers are back within 15 s; it is restarted; no newcomer is refused, and only those that it served "
    "at that moment are lost; the other's viewers stay connected",
)
def test_a_killed_worker_is_replaced(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Its viewers find that their connections are closed, and reconnect."""
    workers = start(stack, recorder)
    program = send_newcomers(stack, workers, 10)
    recorder.run(2)
    killed = workers.child(1)
    os.kill(killed, signal.SIGKILL)
    killed_ns = recorder.run(0)[0]
    recorder.run_until(lambda: workers.child(1) != killed and workers.opened(1), "it serves again", 15)
    restarted_s = (time.monotonic_ns() - killed_ns) / NS_PER_S
    report = report_of(recorder, program)
    recorder.run(2)
    lost = [client for client in recorder.clients if len(client.visits) > 1]
    back_s = [
        (client.visits[-1].frames[0].arrived_ns - killed_ns) / NS_PER_S
        for client in lost
        if client.is_open and client.visits[-1].frames
    ]
    record_property(
        "measured",
        f"{len(back_s)} of {len(lost)} are back, the last after {max(back_s, default=0):.1f} s; it serves again after "
        f"{restarted_s:.1f} s; {report['served']} newcomers served, {len(report['failures'])} lost, the slowest after "
        f"{report['slowest_s']:.1f} s",
    )
    assert check(recorder.record) == []
    assert 0.4 * CROWD < len(lost) < 0.6 * CROWD
    assert len(back_s) >= 0.99 * len(lost)
    assert max(back_s) <= 15
    assert len(report["failures"]) <= 5
    assert not any("Refused" in failure for failure in report["failures"])


@pytest.mark.fault(
    "one of two workers on one port gets SIGSTOP for 5 s and then SIGCONT (20 viewers, 50 more connect per second)",
    "no frame older than a second; its viewers stay connected; newcomers are served by the other one within 2 s",
)
def test_a_worker_that_stands_still_gets_no_newcomers(
    stack: Stack, recorder: Recorder, record_property: RecordProperty
) -> None:
    """What it had not received yet goes to the other one."""
    workers = start(stack, recorder, 20, reconnects=False)
    frozen, opened = workers.child(1), workers.opened(1)
    os.kill(frozen, signal.SIGSTOP)
    program = send_newcomers(stack, workers, 4)
    stopped = recorder.run(5)
    os.kill(frozen, signal.SIGCONT)
    report = report_of(recorder, program)
    recorder.run(2)
    after = recorder.run(2)
    age_ms = oldest_ms(recorder.record, stopped[1])
    new = (workers.opened(1) or 0) - (opened or 0)
    record_property(
        "measured",
        f"at most {age_ms:.0f} ms old; {report['served']} newcomers served, {len(report['failures'])} lost, "
        f"the slowest after {report['slowest_s']:.1f} s, {new:.0f} by the stopped worker",
    )
    assert check(recorder.record, [after], share=SHARE * CROWD_RATE / 100) == []
    assert recorder.kept_all_connections()
    assert age_ms <= MAX_AGE_MS
    assert report["failures"] == []
    assert report["slowest_s"] <= 2
    assert new == 0


@pytest.mark.fault(
    "one of two workers on one port gets SIGTERM and drains (200 viewers, 50 more connect per second)",
    "no connection is refused or reset; each of its viewers gets 4012 and is back within 6 s; it is restarted; "
    "viewers of the other worker see no gap over 100 ms beyond the machine's own",
)
def test_a_worker_that_drains_is_replaced(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """It gets no newcomers meanwhile."""
    workers = start(stack, recorder)
    draining, staying = workers.child(1), workers.child(2)
    program = send_newcomers(stack, workers, 15)
    recorder.run(1)
    os.kill(draining, signal.SIGTERM)
    begin_ns = recorder.run(0)[0]
    waits: Waits = []

    def is_restarted() -> bool:
        waits.append((time.monotonic_ns(), waited_s(staying)))
        return workers.child(1) != draining

    restarted_s = recorder.run_until(is_restarted, "it is started again", 40)
    report = report_of(recorder, program)
    recorder.run(2)
    after = recorder.run(2)
    movers = [visits for visits in recorder.record.clients if visits[0].closed_ns is not None]
    stayers = [visits[0] for visits in recorder.record.clients if visits[0].closed_ns is None]
    codes = [visit.close_code for visits in movers for visit in visits if visit.closed_ns is not None]
    back_s = max(map(longest_absence_s, movers), default=0.0)
    gap_ms = max(gap_beyond_the_machine_ms(recorder.record, visit, begin_ns, waits=waits) for visit in stayers)
    record_property(
        "measured",
        f"{report['served']} newcomers served, {len(report['failures'])} lost; {codes.count(CLOSE_GOING_AWAY)} of "
        f"{len(codes)} got 4012; back within {back_s:.1f} s; restarted after {restarted_s:.1f} s; gap {gap_ms:.0f} ms",
    )
    assert report["failures"] == []
    assert CROWD * 0.4 < len(movers) == len(codes) == codes.count(CLOSE_GOING_AWAY)
    assert check(recorder.record, [after], share=SHARE * CROWD_RATE / 100) == []
    assert back_s <= 6
    assert gap_ms <= 100


@pytest.mark.fault(
    "two workers on one port get replaced in turn (200 viewers, 50 more connect per second)",
    "no connection is refused or reset; every viewer gets 4012 and is back within 6 s; both are replaced within 45 s",
)
@pytest.mark.timeout(180)
def test_a_rolling_replacement(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """SIGUSR1 to the supervisor: viewers move to the successors."""
    workers = start(stack, recorder)
    old = [workers.child(1), workers.child(2)]
    program = send_newcomers(stack, workers, 30)
    recorder.run(1)
    workers.signal(signal.SIGUSR1)

    def is_done() -> bool:
        output = workers.output()
        return all(f"(process {pid}) has ended" in output for pid in old)

    replaced_s = recorder.run_until(is_done, "both have ended", 45)
    report = report_of(recorder, program)
    recorder.run(2)
    after = recorder.run(2)
    codes = [visit.close_code for visit in recorder.record.visits() if visit.closed_ns is not None]
    back_s = max(map(longest_absence_s, recorder.record.clients))
    spread = [workers.viewers(number) or 0 for number in (1, 2)]
    record_property(
        "measured",
        f"{report['served']} newcomers served, {len(report['failures'])} lost; {codes.count(CLOSE_GOING_AWAY)} of "
        f"{len(codes)} closed with 4012; back within {back_s:.1f} s; replaced after {replaced_s:.1f} s; then "
        f"{spread[0]:.0f} and {spread[1]:.0f} viewers",
    )
    assert report["failures"] == []
    assert all(len(client.visits) > 1 for client in recorder.clients)
    assert {*codes} == {CLOSE_GOING_AWAY}
    assert check(recorder.record, [after], share=SHARE * CROWD_RATE / 100) == []
    assert back_s <= 6
    assert all(0.45 * CROWD <= count <= 0.55 * CROWD for count in spread)
