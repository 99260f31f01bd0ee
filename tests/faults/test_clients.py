"""Clients that connect and disconnect all the time, or never finish a request."""

import contextlib
import socket
import time

import pytest

from testbed import accounting
from testbed.processes import TooSlow, Worker
from testbed.recording.checker import check
from testbed.recording.recorder import Recorder
from testbed.viewers import CLOSE_1000, close, connect
from tests.faults.conftest import RecordProperty, Stack

SLOW_CLIENTS = 1_000
REQUEST_TIMEOUT_S = 6.0

# Connections a second, for how many seconds, and for how many before they count.
CHURN, CHURN_S, WARM_UP_S = 100, 60, 5


@pytest.mark.fault(
    "1,000 clients send a handshake byte by byte",
    "closed at the request deadline; new viewers connect in under a second meanwhile",
)
def test_slow_handshakes(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Each client sends a byte a second, so it is never idle."""
    stack.leader()
    worker = stack.worker(environment={"CLOCK_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT_S:.0f}"})
    recorder.add(20, [worker.port])
    before = recorder.run(2)
    begin = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", worker.port), timeout=5) for _ in range(SLOW_CLIENTS)]
    for client in slow:
        client.sendall(b"GET /ws/clock/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        client.setblocking(False)
    all_connected = time.monotonic()
    slowest_s = 0.0
    closed_after_s: list[float] = []
    while slow and time.monotonic() - begin < REQUEST_TIMEOUT_S + 10:
        moment = time.monotonic()
        close([connect(worker.port)])
        slowest_s = max(slowest_s, time.monotonic() - moment)
        recorder.run(1)
        closed = {client for client in slow if is_closed(client)}
        closed_after_s += [time.monotonic() - begin] * len(closed)
        slow = [client for client in slow if client not in closed]
    record_property(
        "measured",
        f"{len(closed_after_s)} closed, {min(closed_after_s, default=0):.1f} to {max(closed_after_s, default=0):.1f} s "
        f"after the first (deadline {REQUEST_TIMEOUT_S:g} s); connected within {1000 * slowest_s:.0f} ms",
    )
    for client in slow:
        client.close()
    after = recorder.run(2)
    assert len(closed_after_s) == SLOW_CLIENTS
    assert min(closed_after_s) >= REQUEST_TIMEOUT_S - 1
    assert max(closed_after_s) <= REQUEST_TIMEOUT_S + (all_connected - begin) + 3  # this test checks once a second
    assert slowest_s < 1
    assert check(recorder.record, [before, after]) == []


def is_closed(client: socket.socket) -> bool:
    """Send one more byte, and return whether the connection has been closed."""
    try:
        if not client.recv(4096):  # an answer may arrive before the end
            client.close()
            return True
    except BlockingIOError:
        pass
    except OSError:
        client.close()
        return True
    try:
        client.send(b"x")
    except OSError:
        client.close()
        return True
    return False


@pytest.mark.fault(
    f"{CHURN} viewers a second connect and disconnect",
    "no growth in objects, tasks, descriptors, Redis subscriptions or Redis clients",
)
@pytest.mark.timeout(CHURN_S + 120)
def test_churn(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """After a warm-up, all counts stay what they were."""
    stack.leader()
    worker = stack.counting_worker()
    recorder.add(5, [worker.port])
    descriptors = accounting.open_files(worker.pid)
    churn(recorder, worker, WARM_UP_S, descriptors)
    before, memory = stack.census(), accounting.private_bytes([worker.pid])
    begin = recorder.run(0)[0]
    churn(recorder, worker, CHURN_S, descriptors)
    end = recorder.run(0)[1]
    after, grown = stack.census(), accounting.private_bytes([worker.pid]) - memory
    growth = {name: after[name] - before[name] for name in before}
    counts = ", ".join(f"{name} {by:+d}" for name, by in growth.items())
    record_property("measured", f"{CHURN * CHURN_S} in {CHURN_S} s: {counts}; {grown / 1024:+.0f} KiB")
    # The number of objects varies by a few hundred with each second of the clock; a leak of one each would be 6,000.
    assert growth.pop("objects") < CHURN * CHURN_S / 10
    assert not any(growth.values())
    assert check(recorder.record, [(begin, end)]) == []
    assert recorder.kept_all_connections()


def churn(recorder: Recorder, worker: Worker, seconds: float, descriptors: int) -> None:
    """Connect viewers at the rate `CHURN`. Each leaves after a second: every other one without a close frame.

    The recorder reads between any two connections, however late this is. At the end a busy worker has some seconds to
    come down to the descriptors of before, and one that it may create once.
    """
    staying = []
    due = time.monotonic()
    for number in range(int(seconds * CHURN)):
        staying.append(connect(worker.port))
        if len(staying) > CHURN:
            leaving = staying.pop(0).socket
            if number % 2:
                leaving.sendall(CLOSE_1000)
            leaving.close()
        due += 1 / CHURN
        recorder.run(max(0.001, due - time.monotonic()))
    close(staying)
    recorder.run(4)
    with contextlib.suppress(TooSlow):  # then the counts will show it
        recorder.run_until(lambda: accounting.open_files(worker.pid) <= descriptors + 1, "the worker is idle", 10)
