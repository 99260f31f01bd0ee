"""Tickers that stop, die or stand still, and tickers that do not know that they are no longer the leader."""

import signal
import sys

import pytest

from testbed.processes import Program, Ticker, wait_until
from testbed.recording.checker import check, smallest_share
from testbed.recording.record import Span
from testbed.recording.recorder import Recorder
from tests.faults.conftest import RecordProperty, Stack


@pytest.fixture
def leader(shared_stack: Stack) -> Ticker:
    """The leader of the shared stack, which has a new standby and a worker."""
    running = [ticker for ticker in shared_stack.tickers if ticker.running]
    leader = running[0] if running else shared_stack.leader()
    leader.wait_until_leader()
    shared_stack.standby()
    if not shared_stack.workers:
        shared_stack.worker()
    wait_until(lambda: shared_stack.workers[0].get("/readyz")[0] == 200, "the worker is ready")
    return leader


def two_healthy_seconds(stack: Stack, recorder: Recorder) -> Span:
    """Connect 20 clients, and return the time of two seconds in which all is well."""
    recorder.add(20, [stack.workers[0].port])
    return recorder.run(2)


def largest_gap_ms(recorder: Recorder, since_ns: int) -> float:
    """Return the longest time that a client was without frames."""
    return max(visit.largest_gap_ms(since_ns) for visit in recorder.record.visits())


def terms(recorder: Recorder) -> list[int]:
    """Return the terms of the published ticks, in order."""
    return sorted({tick.term for tick in recorder.record.published})


@pytest.mark.fault("the leader gets SIGTERM, a standby runs", "gap at most 250 ms", readme=True)
def test_a_leader_hands_over_when_it_stops(
    shared_stack: Stack, leader: Ticker, shared_recorder: Recorder, record_property: RecordProperty
) -> None:
    """It releases its lease, so the standby takes over at once."""
    recorder = shared_recorder
    before = two_healthy_seconds(shared_stack, recorder)
    leader.signal(signal.SIGTERM)
    recorder.run(2)
    after = recorder.run(2)
    gap_ms = largest_gap_ms(recorder, before[1])
    record_property("measured", f"{gap_ms:.0f} ms")
    assert leader.wait() == 0
    assert check(recorder.record, [before, after]) == []
    assert len(terms(recorder)) == 2
    assert gap_ms <= 250


@pytest.mark.fault(
    "the leader gets SIGKILL, or SIGSTOP for 5 s and then SIGCONT",
    "gap at most 2 s; clients receive nothing of the old leader after the takeover",
    readme=True,
)
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_standby_takes_over_from_a_silent_leader(
    shared_stack: Stack,
    leader: Ticker,
    shared_recorder: Recorder,
    record_property: RecordProperty,
    fault: signal.Signals,
) -> None:
    """The standby finds that the lease has expired. The old leader, if it lives, finds so too."""
    recorder = shared_recorder
    before = two_healthy_seconds(shared_stack, recorder)
    leader.signal(fault)
    recorder.run(5)
    if fault == signal.SIGSTOP:
        leader.signal(signal.SIGCONT)
    after = recorder.run(3)
    gap_ms = largest_gap_ms(recorder, before[1])
    first_term = recorder.record.published[0].term
    late = sum(tick.term == first_term and tick.arrived_ns > after[0] for tick in recorder.record.published)
    record_property("measured", f"{fault.name}: {gap_ms:.0f} ms" + (f", {late} late ticks published" if late else ""))
    leader.kill()
    assert check(recorder.record, [before, after]) == []
    assert len(terms(recorder)) == 2
    assert gap_ms <= 2000


@pytest.mark.fault(
    "two tickers that both believe to be the leader",
    "clients receive at least 99 % of one ticker's ticks, and each `at` once",
)
@pytest.mark.parametrize("own_terms", [(5, 5), (5, 6)])
def test_two_leaders(
    stack: Stack, recorder: Recorder, record_property: RecordProperty, own_terms: tuple[int, int]
) -> None:
    """With the same term, the first tick of each time counts; with two terms, the ticks of the higher one."""
    settings = {"REDIS_URL": stack.broker.url, "DJANGO_SETTINGS_MODULE": "tournament.settings"}
    for number, term in enumerate(own_terms):
        command = [sys.executable, "-m", "testbed.faults.false_leader", str(term)]
        stack.run(Program(f"false-leader-{number}", command, stack.directory, settings))
    recorder.add(20, [stack.worker().port])
    span = recorder.run(8)
    share = smallest_share(recorder.record, span)
    record_property("measured", f"terms {own_terms[0]} and {own_terms[1]}: {share:.1%}")
    assert terms(recorder) == sorted({*own_terms})
    assert len(recorder.record.published) > 1.8 * len({tick.at for tick in recorder.record.published})
    assert check(recorder.record, [span]) == []
