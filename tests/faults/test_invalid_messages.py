"""Ten thousand invalid messages in the channel of the ticks. Each is counted, and no viewer notices."""

import re
import time
from collections.abc import Sequence
from urllib.request import urlopen

import pytest

from testbed.accounting import open_files, waited_s
from testbed.attacks.invalid_messages import huge, messages
from testbed.processes import Program, Worker, free_port
from testbed.recording.checker import check, gap_beyond_the_machine_ms
from testbed.recording.record import NS_PER_S, Span, Waits
from testbed.recording.recorder import Recorder
from testbed.subscriber import CHANNEL
from tests.faults.conftest import RecordProperty, Stack

MESSAGES = 10_000

# Messages a second, how many are published at once, and how many before those that count.
RATE, BATCH, WARM_UP = 1_000, 10, 200

VIEWERS = 20

# The largest gap of a viewer beyond the machine's own; the same after a huge message, for which Redis may disconnect
# its subscribers; and when the leader dies.
MAX_GAP_MS, MAX_GAP_AFTER_HUGE_MS, MAX_GAP_AT_TAKEOVER_MS = 100, 1_000, 2_000

# Scripts that tickers run in Redis: the leader extends its lease every 0.3 s, and a standby checks now and then.
MAX_SCRIPTS_PER_S = 12

# Lines that a program may log meanwhile.
MAX_LOG_LINES = 20


@pytest.mark.fault(
    "10,000 invalid messages in the channel of the ticks: truncated, nested, of wrong types, out of range, mutated, "
    "random; a few huge ones (up to 1 MiB); then the leader gets SIGKILL",
    "all counted; viewers see no gap over 100 ms beyond the machine's own (huge: 1 s); tasks, descriptors and Redis "
    "clients as before; at most 12 scripts a second in Redis; no traceback; takeover within 2 s",
)
@pytest.mark.timeout(240)
def test_invalid_messages(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """The worker and the standby receive all of them."""
    corpus = messages(MESSAGES)
    metrics_port = free_port()
    leader = stack.leader()
    stack.standby()
    worker = stack.counting_worker(environment={"CLOCK_METRICS_PORT": str(metrics_port)})
    programs = (*stack.tickers, worker)
    recorder.add(VIEWERS, [worker.port])
    publish(stack, recorder, worker, corpus[:WARM_UP])
    recorder.run(2)

    before, scripts, counted = snapshot(stack, recorder, programs), scripts_run(stack), invalid_counted(metrics_port)
    began = recorder.run(1)[0]
    waits = publish(stack, recorder, worker, corpus)
    ended = recorder.run(2)[1]
    seconds = (ended - began) / NS_PER_S
    scripts_per_s = (scripts_run(stack) - scripts) / seconds
    counted = invalid_counted(metrics_port) - counted
    after = snapshot(stack, recorder, programs)
    gap_ms = largest_gap_ms(recorder, (began, ended), waits)

    huge_began = recorder.run(0.5)[0]
    for message in huge():
        publish(stack, recorder, worker, [message])
        recorder.run(1)
    gap_after_huge_ms = largest_gap_ms(recorder, (huge_began, recorder.run(2)[1]))
    after_huge = snapshot(stack, recorder, programs)

    healthy = recorder.run(2)
    leader.kill()
    killed_ns = recorder.run(5)[0]
    healthy_again = recorder.run(2)
    takeover_ms = max(visit.largest_gap_ms(killed_ns) for visit in recorder.record.visits())

    growth = {name: max(after[name], after_huge[name]) - before[name] for name in before}
    record_property(
        "measured",
        f"{counted} of {MESSAGES} counted in {seconds:.0f} s; gap {gap_ms:.0f} ms "
        f"(huge: {gap_after_huge_ms:.0f} ms); {growth['tasks']:+d} tasks, {growth['all descriptors']:+d} descriptors, "
        f"{growth['Redis clients']:+d} Redis clients; {scripts_per_s:.1f} scripts a second; "
        f"takeover: {takeover_ms:.0f} ms",
    )
    assert counted == MESSAGES
    assert growth.pop("objects") < MESSAGES / 10
    assert not any(by > 0 for by in growth.values()), growth
    assert scripts_per_s <= MAX_SCRIPTS_PER_S
    assert check(recorder.record, [(began, ended), healthy, healthy_again]) == []
    assert gap_ms <= MAX_GAP_MS
    assert gap_after_huge_ms <= MAX_GAP_AFTER_HUGE_MS
    assert takeover_ms <= MAX_GAP_AT_TAKEOVER_MS
    assert len({tick.term for tick in recorder.record.published}) == 2
    assert recorder.kept_all_connections()
    for program in programs:
        assert len(program.output().splitlines()) <= MAX_LOG_LINES, program.output()


def publish(stack: Stack, recorder: Recorder, worker: Worker, corpus: Sequence[bytes]) -> Waits:
    """Publish messages to the ticks' channel at `RATE`, record meanwhile, and return what the worker waited."""
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
    """Count what is in the worker's process and in Redis, and the descriptors of all programs.

    Descriptors are the smallest number within a second, as the request for the count itself may still be open.
    """
    counted = stack.census()
    del counted["descriptors"]
    descriptors = []
    for _ in range(10):
        descriptors.append(sum(open_files(program.pid) for program in programs))
        recorder.run(0.1)
    return {**counted, "all descriptors": min(descriptors)}


def scripts_run(stack: Stack) -> int:
    """Return how many scripts Redis has run."""
    with stack.redis() as redis:
        stats = redis.info("commandstats")
    return sum(int(stats[name]["calls"]) for name in ("cmdstat_eval", "cmdstat_evalsha") if name in stats)


def invalid_counted(metrics_port: int) -> int:
    """Return how many invalid messages the worker with this metrics port has counted."""
    with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r'^clock_ticks_dropped_total\{reason="(?:not.a.tick|invalid)"\} (\S+)$', text, re.MULTILINE)
    return int(float(found[0]))


def largest_gap_ms(recorder: Recorder, span: Span, waits: Waits | None = None) -> float:
    """Return the longest time that a viewer was without frames in a span, beyond the machine's own."""
    return max(gap_beyond_the_machine_ms(recorder.record, visit, *span, waits) for visit in recorder.record.visits())
