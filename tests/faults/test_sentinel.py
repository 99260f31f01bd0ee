"""Redis fails over, by real Sentinels."""

import signal
from pathlib import Path

import pytest

from testbed.processes import Program, accepts_connections, free_port, wait_until
from testbed.recording.checker import check
from testbed.recording.recorder import Recorder
from tests.faults.conftest import RecordProperty, Stack
from tournament.up.broker import broker_command, find_broker

# Three Sentinels, of which two must agree that the master is down, after so many milliseconds without an answer.
COUNT, QUORUM, DOWN_AFTER_MS = 3, 2, 1_000


def start_replica(stack: Stack) -> int:
    """Start a replica of the stack's broker and return its port when it is in sync."""
    port = free_port()
    directory = stack.directory / "replica"
    directory.mkdir()
    command = [*broker_command(port, directory), "--replicaof", "127.0.0.1", str(stack.broker.port)]
    stack.run(Program("replica", command, directory))
    with stack.redis() as redis:
        wait_until(lambda: redis.info("replication").get("slave0", {}).get("state") == "online", "the replica follows")
    return port


def start_sentinels(stack: Stack) -> str:
    """Start Sentinels for the stack's broker; return their addresses when they know each other and the replica."""
    ports = [free_port() for _ in range(COUNT)]
    for port in ports:
        configuration = Path(stack.directory, f"sentinel-{port}.conf")
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {stack.directory}\n"
            f"sentinel monitor clock 127.0.0.1 {stack.broker.port} {QUORUM}\n"
            f"sentinel down-after-milliseconds clock {DOWN_AFTER_MS}\n"
            "sentinel failover-timeout clock 10000\n"
        )
        stack.run(Program(f"sentinel-{port}", [find_broker(), str(configuration), "--sentinel"], stack.directory))
    for port in ports:
        wait_until(lambda port=port: accepts_connections(port), "the Sentinel accepts connections")  # type: ignore[misc]
        with stack.redis(port) as sentinel:
            wait_until(
                lambda sentinel=sentinel: knows_all(sentinel.sentinel_master("clock")),  # type: ignore[misc]
                "the Sentinel knows the others and the replica",
            )
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def knows_all(master: dict[str, object]) -> bool:
    """Return whether a Sentinel has found the others and the replica."""
    return (master["num-other-sentinels"], master["num-slaves"]) == (COUNT - 1, 1)


@pytest.mark.fault("Sentinel failover (real Sentinels, down after 1 s)", "ticks within 5 s", readme=True)
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_sentinel_failover(
    stack: Stack, recorder: Recorder, record_property: RecordProperty, fault: signal.Signals
) -> None:
    """The master dies; or it stops, is demoted, and continues."""
    recorder.subscribe_at(start_replica(stack))  # a replica gets what is published, too
    sentinels = {"REDIS_SENTINELS": start_sentinels(stack), "REDIS_MASTER_NAME": "clock"}
    stack.leader(environment=sentinels)
    stack.standby(sentinels)
    recorder.add(20, [stack.worker(environment=sentinels).port])
    before = recorder.run(2)
    stack.broker.signal(fault)
    recorder.run(0.2)  # what was under way
    seconds = 0.2 + recorder.run_until_flowing()
    record_property("measured", f"{fault.name}: {seconds:.1f} s")
    recorder.run(3)
    if fault == signal.SIGSTOP:
        stack.broker.signal(signal.SIGCONT)
        recorder.run(3)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert recorder.kept_all_connections()
    assert seconds <= 5
