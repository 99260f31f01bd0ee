"""Ten thousand messages in the ticks' channel that are no ticks: each is counted, and nobody notices."""

import re
import time
from collections.abc import Callable, Sequence
from urllib.request import urlopen

import pytest

from testbed.accounting import open_files, waited_s
from testbed.attacks.messages import huge, messages
from testbed.processes import Program, Ticker, Worker
from testbed.recording.checker import check, gap_beyond_the_machine
from testbed.recording.recorder import Recorder
from testbed.subscriber import CHANNEL
from tests.faults.conftest import Stack
from tests.faults.test_neighbours import census
from tournament.up.broker import free_port

Measured = Callable[[str, object], None]

MESSAGES = 10_000

# Messages a second, and how many are published at once.
RATE, BATCH = 500, 10

# Before what is counted.
WARM_UP = 200

VIEWERS = 20

# Milliseconds: the largest gap of a viewer beyond the machine's own; the same where a huge message has cut off its
# readers from Redis; and when the leader has died.
LARGEST_GAP, LARGEST_AFTER_HUGE, LARGEST_AT_TAKEOVER = 100, 1_000, 2_000

# Scripts a second that tickers run in Redis: the leader extends its lease every 0.3 s, and a standby asks now and then.
SCRIPTS_A_SECOND = 12

# Lines that a program may log meanwhile.
LOG_LINES = 20


@pytest.mark.fault(
    "10,000 hostile messages in the ticks' channel: truncated, nested, of wrong types, out of range, mutated, random; "
    "a few huge ones (up to 1 MiB); then ticker SIGKILL",
    "all counted; viewers see no gap over 100 ms beyond the machine's own (huge: 1 s); tasks, descriptors and Redis "
    "clients as before; at most 12 scripts a second in Redis; no traceback; takeover within 2 s",
)
@pytest.mark.timeout(240)
def test_hostile_messages(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """The worker and the standby hear all of them."""
    corpus = messages(MESSAGES)
    metrics = free_port()
    leader, worker = start(stack, metrics)
    programs = (*stack.tickers, worker)
    recorder.add(VIEWERS, [worker.port])
    publish(stack, recorder, worker, corpus[:WARM_UP])
    recorder.run(2)

    before, scripts, counted = snapshot(stack, recorder, programs), scripts_run(stack), dropped_by(metrics)
    began = recorder.run(1)[0]
    waits = publish(stack, recorder, worker, corpus)
    ended = recorder.run(2)[1]
    scripts = (scripts_run(stack) - scripts) / ((ended - began) / 1e9)
    counted = dropped_by(metrics) - counted
    after = snapshot(stack, recorder, programs)
    gap = largest_gap(recorder, (began, ended), waits)

    huge_began = recorder.run(0.5)[0]
    for message in huge():
        publish(stack, recorder, worker, [message])
        recorder.run(1)
    gap_huge = largest_gap(recorder, (huge_began, recorder.run(2)[1]))
    after_huge = snapshot(stack, recorder, programs)

    healthy = recorder.run(2)
    leader.kill()
    killed = recorder.run(5)[0]
    healthy_again = recorder.run(2)
    takeover = max(visit.largest_gap(killed) for visit in recorder.record.visits())

    growth = {name: max(after[name], after_huge[name]) - before[name] for name in before}
    record_property(
        "measured",
        f"{counted} of {MESSAGES} counted in {(ended - began) / 1e9:.0f} s; gap {gap:.0f} ms "
        f"(huge: {gap_huge:.0f} ms); {growth['tasks']:+d} tasks, {growth['descriptors']:+d} descriptors, "
        f"{growth['Redis clients']:+d} Redis clients; {scripts:.1f} scripts a second; takeover: {takeover:.0f} ms",
    )
    assert counted == MESSAGES
    assert growth.pop("objects") < MESSAGES / 10
    assert not any(by > 0 for by in growth.values()), growth
    assert scripts <= SCRIPTS_A_SECOND
    assert check(recorder.record, [(began, ended), healthy, healthy_again]) == []
    assert gap <= LARGEST_GAP
    assert gap_huge <= LARGEST_AFTER_HUGE
    assert takeover <= LARGEST_AT_TAKEOVER
    assert len({tick.term for tick in recorder.record.published}) == 2
    assert all(client.is_open and len(client.visits) == 1 for client in recorder.clients)
    for program in programs:
        assert len(program.output().splitlines()) <= LOG_LINES, program.output()
    stack.no_traceback()


def start(stack: Stack, metrics_port: int) -> tuple[Ticker, Worker]:
    """Start a leader, a standby, and a worker that tells what there is in its process."""
    leader = stack.leader()
    stack.ticker().wait_for_output("standing by")
    return leader, stack.worker(application="testbed.faults.census:application", CLOCK_METRICS_PORT=str(metrics_port))


def publish(stack: Stack, recorder: Recorder, worker: Worker, corpus: Sequence[bytes]) -> list[tuple[int, float]]:
    """Publish messages to the ticks' channel, so many a second; the recorder reads meanwhile.

    Returns moments, and for how many seconds the worker had waited for a processor by then.
    """
    waits = []
    with stack.redis() as redis:
        due = time.monotonic()
        for start in range(0, len(corpus), BATCH):
            with redis.pipeline(transaction=False) as pipeline:
                for message in corpus[start : start + BATCH]:
                    pipeline.publish(CHANNEL, message)
                pipeline.execute()
            waits.append((time.monotonic_ns(), waited_s(worker.pid)))
            due = max(due + BATCH / RATE, time.monotonic() - 0.1)
            recorder.run(max(0.0, due - time.monotonic()))
    return waits


def snapshot(stack: Stack, recorder: Recorder, programs: Sequence[Program]) -> dict[str, int]:
    """Count what there is: in the worker's process, in Redis, and the descriptors of all.

    Of the descriptors the fewest within a second: the request for the count itself may still be open.
    """
    counted = census(stack, recorder)
    descriptors = []
    for _ in range(10):
        descriptors.append(sum(open_files(program.pid) for program in programs))
        recorder.run(0.1)
    return {**counted, "descriptors": min(descriptors)}


def scripts_run(stack: Stack) -> float:
    """Return how many scripts Redis has run."""
    with stack.redis() as redis:
        stats = redis.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in stats)


def dropped_by(metrics_port: int) -> int:
    """Return how many messages the worker with this port has counted as no ticks."""
    with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r'^clock_ticks_dropped_total\{reason="not.a.tick"\} (\S+)$', text, re.MULTILINE)
    return int(float(found[0]))


def largest_gap(recorder: Recorder, span: tuple[int, int], waits: Sequence[tuple[int, float]] = ()) -> float:
    """Return the longest that a viewer was without frames in a span of time, beyond the machine's own; milliseconds."""
    return max(gap_beyond_the_machine(recorder.record, visit, *span, waits) for visit in recorder.record.visits())
