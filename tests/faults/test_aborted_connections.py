"""Ten thousand connections that end early, at every stage and in every way. The worker keeps nothing of them."""

import json
import sys
import time

import pytest

from testbed.accounting import open_files, waited_s
from testbed.attacks.aborted import ALLOWANCE_S, FREED_AFTER_S, Report
from testbed.attacks.stages import REQUEST_TIMEOUT_S, End
from testbed.processes import Program, Worker, free_port
from testbed.recording.checker import check, gap_beyond_the_machine_ms
from testbed.recording.record import Waits
from testbed.recording.recorder import Recorder
from testbed.redis_servers import Certificate
from tests.faults.conftest import RecordProperty, Stack

CONNECTIONS, OVER_TLS = 10_000, 200

# Connections before those that count: each stage with each end, so that what is created once exists.
WARM_UP = 200

# Descriptors that the worker may have open for a moment for its own work, such as that of a file that it sends.
OWN_DESCRIPTORS = 4

# More objects than this are a leak. The first attack creates about a thousand; a leak of one each would be 10,000.
MAX_OBJECTS = 2_000

VIEWERS = 20
MAX_GAP_MS = 100

ROW = pytest.mark.fault(
    "10,000 aborted connections at every stage (TCP, partial headers, request, handshake, 101, first frame, half a "
    "frame, close frame) by FIN, RST and silence; 200 over TLS",
    "descriptors freed within 2 s of FIN or RST, or of the deadline of a silent one; tasks as before; "
    "viewers see no gap over 100 ms beyond the machine's own; no traceback",
)

TIMEOUTS = {"CLOCK_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT_S:g}", "CLOCK_IDLE_TIMEOUT": f"{REQUEST_TIMEOUT_S:g}"}


@ROW
@pytest.mark.timeout(240)
def test_aborted_connections(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Most are resets, some of them before the worker reads; a tenth are silent."""
    stack.leader()
    worker = stack.counting_worker(environment=TIMEOUTS)
    endure(stack, recorder, record_property, worker, CONNECTIONS)


@ROW
def test_aborted_connections_over_tls(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """The same over TLS, also at every stage of its handshake."""
    stack.leader()
    port = free_port()
    own = Certificate(stack.directory, "worker")
    endpoint = f"ssl:{port}:privateKey={own.key}:certKey={own.certificate}:interface=127.0.0.1"
    worker = stack.counting_worker(options=["-e", endpoint], environment=TIMEOUTS)
    over_tls = ["--port", str(port), "--authority", str(own.certificate)]
    endure(stack, recorder, record_property, worker, OVER_TLS, over_tls)


def endure(
    stack: Stack,
    recorder: Recorder,
    record_property: RecordProperty,
    worker: Worker,
    count: int,
    options: list[str] | None = None,
) -> None:
    """Attack a worker while viewers watch, and check that it keeps nothing."""
    recorder.add(VIEWERS, [worker.port])
    attack(stack, recorder, worker, WARM_UP, [*(options or ()), "--ends", End.FIN, End.RST])
    recorder.run(FREED_AFTER_S)
    before, descriptors = stack.census(), open_files(worker.pid)
    begin = recorder.run(1)[0]
    waits: Waits = []
    report = attack(stack, recorder, worker, count, options or [], waits)
    end = recorder.run(FREED_AFTER_S + ALLOWANCE_S)[1]
    left = open_files(worker.pid) - descriptors
    after = stack.census()
    growth = {name: after[name] - before[name] for name in before}
    record = recorder.record
    gap_ms = max(gap_beyond_the_machine_ms(record, visit, begin, end, waits) for visit in record.visits())
    counts = ", ".join(f"{number} {name}" for name, number in report["counts"].items())
    record_property(
        "measured",
        f"{count} in {report['seconds']:.0f} s ({counts}): {left:+d} descriptors ({report['excess']:+d} at most), "
        f"{growth['tasks']:+d} tasks; silent ones disconnected within {report['longest_silence_s']:.1f} s; "
        f"gap {gap_ms:.0f} ms",
    )
    assert report["failed"] == 0, report["failures"]
    assert report["excess"] <= OWN_DESCRIPTORS
    assert left <= 0
    assert growth.pop("objects") < MAX_OBJECTS
    assert not any(by > 0 for by in growth.values()), growth
    assert check(record, [(begin, end)]) == []
    assert gap_ms <= MAX_GAP_MS
    assert recorder.kept_all_connections()
    stack.check_no_traceback()


def attack(
    stack: Stack, recorder: Recorder, worker: Worker, count: int, options: list[str], waits: Waits | None = None
) -> Report:
    """Start a process that attacks, record meanwhile, and return its report. `waits` gets what the worker waited."""

    def is_over() -> bool:
        if waits is not None:
            waits.append((time.monotonic_ns(), waited_s(worker.pid)))
        return not attacker.running

    baseline = open_files(worker.pid)
    command = [sys.executable, "-m", "testbed.attacks.aborted", "--port", str(worker.port), "--pid", str(worker.pid)]
    command += ["--baseline", str(baseline), "--count", str(count), *options]
    attacker = stack.run(Program("attack", command, stack.directory))
    recorder.run_until(is_over, "the attack is over", 200)
    assert attacker.wait() == 0, attacker.output()
    report: Report = json.loads(attacker.output())
    return report
