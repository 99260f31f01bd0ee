"""Clients that come and go, or never finish what they begin to say."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from testbed import accounting
from testbed.recording.checker import check
from testbed.recording.recorder import Recorder
from testbed.viewers import connect
from tests.faults.conftest import Stack

Measured = Callable[[str, object], None]

HALF_OPEN = 1_000

# Connects a second, and seconds of them.
CHURN, CHURN_SECONDS = 50, 120


@pytest.mark.fault(
    "1,000 half-open handshakes held (slow header bytes)",
    "cut at their deadline; new clients connect in under a second meanwhile",
)
def test_half_open_handshakes(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Each says a byte a second, and so is never idle."""
    deadline = 6.0
    stack.leader()
    worker = stack.worker(CLOCK_REQUEST_TIMEOUT=f"{deadline:.0f}")
    recorder.add(20, [worker.port])
    before = recorder.run(2)
    begin = time.monotonic()
    held = [socket.create_connection(("127.0.0.1", worker.port), timeout=5) for _ in range(HALF_OPEN)]
    for client in held:
        client.sendall(b"GET /ws/clock/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        client.setblocking(False)
    entered = time.monotonic()
    slowest, cut_after = 0.0, []
    while held and time.monotonic() - begin < deadline + 10:
        moment = time.monotonic()
        connect(worker.port).socket.close()
        slowest = max(slowest, time.monotonic() - moment)
        recorder.run(1)
        held = [client for client in held if not is_cut(client) or cut_after.append(time.monotonic() - begin)]
    record_property(
        "measured",
        f"{len(cut_after)} cut, {min(cut_after, default=0):.1f} to {max(cut_after, default=0):.1f} s after the first "
        f"(deadline {deadline:g} s); connected within {1000 * slowest:.0f} ms",
    )
    for client in held:
        client.close()
    after = recorder.run(2)
    assert len(cut_after) == HALF_OPEN
    assert min(cut_after) >= deadline - 1
    assert max(cut_after) <= deadline + (entered - begin) + 3  # it is looked at once in a second or so
    assert slowest < 1
    assert check(recorder.record, [before, after]) == []


def is_cut(client: socket.socket) -> bool:
    """Say one byte more, and return whether the connection has been ended."""
    try:
        if not client.recv(4096):  # an answer may come before the end
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
    "connects and disconnects, 50 a second",
    "no growth in objects, tasks, file descriptors, Redis subscriptions or clients",
)
@pytest.mark.timeout(CHURN_SECONDS + 120)
def test_churn(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """After a warm-up, all is as much as it was."""
    stack.leader()
    worker = stack.worker(application="testbed.faults.census:application")
    recorder.add(5, [worker.port])
    churn(recorder, worker.port, 10)
    before, memory = census(stack, recorder), accounting.private_bytes([worker.pid])
    begin = recorder.run(0)[0]
    churn(recorder, worker.port, CHURN_SECONDS)
    end = recorder.run(0)[1]
    after, grown = census(stack, recorder), accounting.private_bytes([worker.pid]) - memory
    growth = {name: after[name] - before[name] for name in before}
    words = ", ".join(f"{name} {by:+d}" for name, by in growth.items())
    record_property("measured", f"{CHURN * CHURN_SECONDS} in {CHURN_SECONDS} s: {words}; {grown / 1024:+.0f} KiB")
    # Objects come and go by a few hundred, with what a second of the clock needs; a leak of one each would be 6,000.
    assert growth.pop("objects") < CHURN * CHURN_SECONDS / 10
    assert not any(growth.values())
    assert check(recorder.record, [(begin, end)]) == []


def churn(recorder: Recorder, port: int, seconds: float) -> None:
    """Connect so often, each for a second, and then go: every other without a word."""
    staying = []
    due = time.monotonic()
    for number in range(int(seconds * CHURN)):
        staying.append(connect(port))
        if len(staying) > CHURN:
            going = staying.pop(0).socket
            if number % 2:
                going.sendall(bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8)))  # a close frame: 1000
            going.close()
        due += 1 / CHURN
        recorder.run(max(0.0, due - time.monotonic()))
    for viewer in staying:
        viewer.socket.close()
    recorder.run(4)


def census(stack: Stack, recorder: Recorder) -> dict[str, int]:
    """Count what there is."""
    worker = stack.workers[0]
    with stack.redis() as redis:
        here = redis.client_id()
        others = [one for one in redis.client_list() if int(one["id"]) != here]
    counted: dict[str, int] = json.loads(worker.get("/census")[1])
    return {**counted, "subscriptions": sum(int(one["sub"]) for one in others), "Redis clients": len(others)}
