"""Redis restarts, pauses, refuses connections, falls silent, or is missing when the clock starts."""

import sys

import pytest

from testbed.processes import Program, accepts_connections, free_port, wait_until
from testbed.proxies.half_open import RESTORE, SILENCE
from testbed.recording.checker import check
from testbed.recording.record import NS_PER_S
from testbed.recording.recorder import Recorder
from tests.faults.conftest import RecordProperty, Stack

REFUSES = pytest.mark.fault(
    "Redis refuses everybody: wrong password; maxclients; loading",
    "ticks within 3 s of the end; connections kept",
)
INTERRUPTS = pytest.mark.fault(
    "Redis pauses for 2 s; it disconnects its subscribers",
    "ticks within 500 ms of the end; within 2 s; no burst",
)


@pytest.fixture(scope="module")
def clock(shared_stack: Stack) -> Stack:
    """A leader, a standby and a worker."""
    shared_stack.leader()
    shared_stack.standby()
    shared_stack.worker()
    return shared_stack


def two_healthy_seconds(stack: Stack, recorder: Recorder) -> tuple[int, int]:
    """Connect 20 clients, and return the time of two seconds in which all is well."""
    recorder.add(20, [stack.workers[0].port])
    recorder.run_until_flowing()
    return recorder.run(2)


@pytest.mark.fault("Redis restarts empty", "ticks within 3 s of its return; connections kept", readme=True)
def test_redis_restarts_empty(clock: Stack, shared_recorder: Recorder, record_property: RecordProperty) -> None:
    """The lease, the term and the subscriptions are lost. The clock recovers by itself."""
    recorder = shared_recorder
    before = two_healthy_seconds(clock, recorder)
    clock.broker.kill()
    recorder.run(2)
    clock.broker.start()
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert seconds <= 3


@INTERRUPTS
def test_redis_pauses(clock: Stack, shared_recorder: Recorder, record_property: RecordProperty) -> None:
    """It delays all commands for 2 s and then runs them at once. Clients get no burst."""
    recorder = shared_recorder
    before = two_healthy_seconds(clock, recorder)
    with clock.redis() as redis:
        redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
    pause = recorder.run(2)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"pause: {1000 * seconds:.0f} ms")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_after_s(pause[0] + NS_PER_S // 2) > 1, "Redis did not pause"
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert seconds <= 0.5


@INTERRUPTS
def test_redis_disconnects_subscribers(
    clock: Stack, shared_recorder: Recorder, record_property: RecordProperty
) -> None:
    """The subscriptions of the worker and the standby are killed three times. Both subscribe again."""
    recorder = shared_recorder
    before = two_healthy_seconds(clock, recorder)
    slowest = 0.0
    for _ in range(3):
        with clock.redis() as redis:
            subscribers = redis.client_list(_type="pubsub")
            others = [client for client in subscribers if client["addr"] != recorder.redis_address]
            assert len(others) == 2
            for client in others:
                redis.client_kill_filter(_id=client["id"])
        slowest = max(slowest, recorder.run_until_flowing())
        recorder.run(1.5)
    record_property("measured", f"disconnected: {1000 * slowest:.0f} ms")
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert slowest <= 2


@REFUSES
@pytest.mark.parametrize(("setting", "refusing", "willing"), [("requirepass", "no", ""), ("maxclients", "1", "10000")])
def test_redis_refuses_connections(
    clock: Stack,
    shared_recorder: Recorder,
    record_property: RecordProperty,
    setting: str,
    refusing: str,
    willing: str,
) -> None:
    """For 3 s it requires an unknown password, or accepts no more clients. All connections are closed first."""
    recorder = shared_recorder
    before = two_healthy_seconds(clock, recorder)
    with clock.redis() as redis:
        redis.config_set(setting, refusing)
        here = redis.client_id()
        for client in redis.client_list():
            if client["addr"] != recorder.redis_address and int(client["id"]) != here:
                redis.client_kill_filter(_id=client["id"])
        refused = recorder.run(3)
        redis.config_set(setting, willing)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{setting}: {seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_after_s(refused[0] + NS_PER_S // 2) > 2, "Redis did not refuse"
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert seconds <= 3


@REFUSES
def test_redis_loads(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """After a restart it loads a dump for four seconds. Meanwhile it accepts subscriptions, but grants no lease."""
    stack.leader()
    stack.standby()
    stack.worker()
    before = two_healthy_seconds(stack, recorder)
    with stack.redis() as redis:
        redis.mset({f"key-{number}": number for number in range(4000)})
        redis.save()
    stack.broker.kill()
    stack.broker.command += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    stack.broker.start()
    with stack.redis() as redis:
        _, end = recorder.run(2)
        assert redis.info("persistence")["loading"] == 1
        recorder.run_until(lambda: redis.info("persistence")["loading"] == 0, "Redis has loaded")
    seconds = recorder.run_until_flowing()
    record_property("measured", f"loading: {seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_after_s(end) > 1, "Redis granted a lease"
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert seconds <= 3


@pytest.mark.fault(
    "Redis is half-open for 20 s: the link stays open and carries nothing",
    "worker not ready within 2 s; ticks within 5 s of the end",
)
@pytest.mark.parametrize("who", ["worker", "ticker"])
def test_redis_is_half_open(stack: Stack, recorder: Recorder, record_property: RecordProperty, who: str) -> None:
    """The link to the worker, or to the only ticker, falls silent without being closed."""
    port = free_port()
    command = [sys.executable, "-m", "testbed.proxies.half_open", str(port), str(stack.broker.port)]
    link = stack.run(Program("link", command, stack.directory))
    wait_until(lambda: accepts_connections(port), "the link accepts connections")
    url = f"redis://127.0.0.1:{port}"
    stack.leader(url if who == "ticker" else "")
    worker = stack.worker(url if who == "worker" else "")
    before = two_healthy_seconds(stack, recorder)
    link.signal(SILENCE)
    recorder.run(1.9)
    ready = worker.get("/readyz")
    recorder.run(18)
    assert recorder.record.flowing_after_s(before[1] + NS_PER_S) > 1, "the link was not silent"
    link.signal(RESTORE)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{who}'s link: {ready[0]} after 1.9 s, ticks after {seconds:.1f} s")
    recorder.run(3)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert ready[0] == 503
    assert seconds <= 5
    assert worker.get("/readyz")[0] == 200


@pytest.mark.fault(
    "Redis is missing for 30 s when the clock starts", "no crash; at most 10 log lines; the clock starts by itself"
)
def test_redis_is_missing_at_the_start(stack: Stack, recorder: Recorder, record_property: RecordProperty) -> None:
    """Ticker and worker start without it and wait."""
    stack.broker.kill()
    ticker = stack.ticker()
    worker = stack.worker(start=False)
    worker.start()
    recorder.add(5, [worker.port])
    recorder.run(30)
    lines = max(len(program.output().splitlines()) for program in (ticker, worker))
    assert ticker.running
    assert worker.running
    stack.broker.start()
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{lines} lines; ticks {seconds:.1f} s after Redis started")
    recorder.run(2)
    after = recorder.run(2)
    assert check(recorder.record, [after]) == []
    assert recorder.kept_all_connections()
    assert lines <= 10
    assert seconds <= 5
