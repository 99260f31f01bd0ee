"""Tickers that end, die, stand still, or do not know that they no longer lead."""

import signal
import sys
from collections.abc import Callable

import pytest

from testbed.processes import Program, Ticker
from testbed.recording.checker import check, least_share
from testbed.recording.recorder import Recorder
from tests.faults.conftest import Stack

Measured = Callable[[str, object], None]


def a_pair(stack: Stack, **standby: str) -> Ticker:
    """Start a ticker and one that stands by; return the one that leads."""
    leader = stack.leader()
    stack.ticker(**standby).wait_for_output("standing by")
    return leader


def largest_gap(recorder: Recorder, since: int) -> float:
    """Return the longest that a client was without frames, in milliseconds."""
    return max(visit.largest_gap(since) for visit in recorder.record.visits())


@pytest.mark.fault("ticker SIGTERM, standby running", "gap at most 250 ms")
def test_the_leader_is_told_to_stop(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """It hands over."""
    leader = a_pair(stack)
    recorder.add(20, [stack.worker().port])
    before = recorder.run(2)
    leader.signal(signal.SIGTERM)
    recorder.run(2)
    after = recorder.run(2)
    gap = largest_gap(recorder, before[1])
    record_property("measured", f"{gap:.0f} ms")
    assert leader.wait() == 0
    assert check(recorder.record, [before, after]) == []
    assert len({tick.term for tick in recorder.record.published}) == 2
    assert gap <= 250


@pytest.mark.fault(
    "ticker SIGKILL, or SIGSTOP for 5 s and then SIGCONT",
    "gap at most 2 s; at the clients nothing of the old ticker after takeover",
)
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_the_leader_says_nothing_any_more(
    stack: Stack, recorder: Recorder, record_property: Measured, fault: signal.Signals
) -> None:
    """The standby finds out, and the old one does, too, if it lives."""
    leader = a_pair(stack)
    recorder.add(20, [stack.worker().port])
    before = recorder.run(2)
    leader.signal(fault)
    recorder.run(5)
    if fault == signal.SIGSTOP:
        leader.signal(signal.SIGCONT)
    after = recorder.run(3)
    gap = largest_gap(recorder, before[1])
    old = sum(tick.term == 1 and tick.came > after[0] for tick in recorder.record.published)
    record_property("measured", f"{fault.name}: {gap:.0f} ms" + (f", {old} late ticks published" if old else ""))
    assert check(recorder.record, [before, after]) == []
    assert len({tick.term for tick in recorder.record.published}) == 2
    assert gap <= 2000


@pytest.mark.fault(
    "two tickers made to believe they lead", "clients see at least 99 % of one ticker's rate and each `at` once"
)
@pytest.mark.parametrize("terms", [(5, 5), (5, 6)])
def test_two_leaders(stack: Stack, recorder: Recorder, record_property: Measured, terms: tuple[int, int]) -> None:
    """With one term, whichever is first is heard; with two, the one of the higher."""
    for number, term in enumerate(terms):
        command = [sys.executable, "-m", "testbed.faults.false_leader", str(term)]
        stack.run(
            Program(
                f"impostor-{number}",
                command,
                stack.directory,
                {"REDIS_URL": stack.broker.url, "DJANGO_SETTINGS_MODULE": "tournament.settings"},
            )
        )
    recorder.add(20, [stack.worker().port])
    span = recorder.run(8)
    share = least_share(recorder.record, span)
    record_property("measured", f"terms {terms[0]} and {terms[1]}: {share:.1%}")
    assert {tick.term for tick in recorder.record.published} == {*terms}
    assert len(recorder.record.published) > 1.8 * len({tick.at for tick in recorder.record.published})
    assert check(recorder.record, [span]) == []
