"""Ten thousand connections that end early, at every stage and in every way: the worker keeps nothing of them."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from testbed.accounting import open_files, waited_s
from testbed.attacks.aborted import ALLOWANCE, DEADLINE
from testbed.attacks.connection import REQUEST_DEADLINE, End
from testbed.processes import Program, Worker
from testbed.recording.checker import check, gap_beyond_the_machine
from testbed.recording.recorder import Recorder
from testbed.redis_servers import Certificate
from tests.faults.conftest import Stack
from tests.faults.test_neighbours import census
from tournament.up.broker import free_port

Measured = Callable[[str, object], None]

CONNECTIONS, OVER_TLS = 10_000, 200

# Before what is counted: each stage with each end, so that what is made once is there.
WARM_UP = 200

# Descriptors that the worker itself may have open for a moment, such as those of a file that it sends.
OWN_FILES = 4

VIEWERS = 20

# Milliseconds.
LARGEST_GAP = 100

FAULT = (
    "10,000 aborted connections at every stage (TCP, partial headers, request, handshake, 101, first frame, half a "
    "frame, close frame) by FIN, RST and silence; 200 over TLS"
)
TARGET = (
    "descriptors free within 2 s of FIN or RST, and of the deadline of a silent one; tasks as before; "
    "viewers see no gap over 100 ms beyond the machine's own; no traceback"
)


@pytest.mark.fault(FAULT, TARGET)
@pytest.mark.timeout(240)
def test_aborted_connections(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Most are resets, of which some come before the worker reads; a tenth are silent."""
    stack.leader()
    withstand(stack, recorder, record_property, worker_of(stack), CONNECTIONS)


@pytest.mark.fault(FAULT, TARGET)
def test_aborted_connections_over_tls(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Besides, at every stage of the TLS handshake."""
    stack.leader()
    port = free_port()
    own = Certificate(stack.directory, "worker")
    endpoint = f"ssl:{port}:privateKey={own.key}:certKey={own.certificate}:interface=127.0.0.1"
    worker = worker_of(stack, "-e", endpoint)
    withstand(
        stack, recorder, record_property, worker, OVER_TLS, ["--port", str(port), "--authority", str(own.certificate)]
    )


def worker_of(stack: Stack, *options: str) -> Worker:
    """Start a worker that tells what there is in its process."""
    return stack.worker(
        application="testbed.faults.census:application",
        options=options,
        CLOCK_REQUEST_TIMEOUT=f"{REQUEST_DEADLINE:g}",
        CLOCK_IDLE_TIMEOUT=f"{REQUEST_DEADLINE:g}",
    )


def withstand(
    stack: Stack,
    recorder: Recorder,
    record_property: Measured,
    worker: Worker,
    count: int,
    options: list[str] | None = None,
) -> None:
    """Attack a worker while viewers watch, and see that it keeps nothing."""
    recorder.add(VIEWERS, [worker.port])
    attack(stack, recorder, worker, WARM_UP, *(options or ()), "--ends", End.FIN, End.RST)
    recorder.run(DEADLINE)
    before, files = census(stack, recorder), open_files(worker.pid)
    begin = recorder.run(1)[0]
    waits: list[tuple[int, float]] = []
    report = attack(stack, recorder, worker, count, *(options or ()), waits=waits)
    end = recorder.run(DEADLINE + ALLOWANCE)[1]
    left = open_files(worker.pid) - files
    after = census(stack, recorder)
    growth = {name: after[name] - before[name] for name in before}
    gap = max(gap_beyond_the_machine(recorder.record, visit, begin, end, waits) for visit in recorder.record.visits())
    silence = report["longest silence"]
    counts = ", ".join(f"{number} {name}" for name, number in report["counts"].items())
    record_property(
        "measured",
        f"{count} in {report['seconds']:.0f} s ({counts}): {left:+d} descriptors ({report['excess']:+d} at most), "
        f"{growth['tasks']:+d} tasks; the silent are cut off within {silence:.1f} s; gap {gap:.0f} ms",
    )
    assert report["failed"] == 0, report["failures"]
    assert report["excess"] <= OWN_FILES
    assert left <= 0
    # What is first needed under attack comes to a thousand; a leak of one for each would be 10,000.
    assert growth.pop("objects") < 2_000
    assert not any(by > 0 for by in growth.values()), growth
    assert check(recorder.record, [(begin, end)]) == []
    assert gap <= LARGEST_GAP
    assert all(client.is_open and len(client.visits) == 1 for client in recorder.clients)
    stack.no_traceback()


def attack(
    stack: Stack,
    recorder: Recorder,
    worker: Worker,
    count: int,
    *options: str,
    waits: list[tuple[int, float]] | None = None,
) -> dict[str, Any]:
    """Have a process of its own attack, and return its report; the recorder reads meanwhile.

    `waits` gets, at each turn of the recorder, for how many seconds the worker has waited for a processor.
    """

    def is_over() -> bool:
        if waits is not None:
            waits.append((time.monotonic_ns(), waited_s(worker.pid)))
        return not attacker.running

    files = open_files(worker.pid)
    command = [sys.executable, "-m", "testbed.attacks.aborted", "--port", str(worker.port), "--pid", str(worker.pid)]
    command += ["--baseline", str(files), "--count", str(count), *options]
    attacker = stack.run(Program("attack", command, stack.directory))
    recorder.run_until(is_over, "the attack is over", 200)
    assert attacker.wait() == 0, attacker.output()
    report: dict[str, Any] = json.loads(attacker.output())
    return report
