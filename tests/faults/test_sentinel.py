"""Redis that fails over, by real Sentinels."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.processes import Program, accepts_connections, wait_until
from testbed.recording.checker import check
from testbed.recording.recorder import Recorder
from tests.faults.conftest import Stack
from tournament.up.broker import broker_command, find_broker, free_port

Measured = Callable[[str, object], None]

# Three, of which two must agree; how long a master must be silent to be down, in milliseconds.
COUNT, QUORUM, DOWN_AFTER = 3, 2, 1_000


def start_replica(stack: Stack) -> int:
    """Start a replica of the stack's broker and return its port, when it has all that the master has."""
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
            f"sentinel down-after-milliseconds clock {DOWN_AFTER}\n"
            "sentinel failover-timeout clock 10000\n"
        )
        stack.run(Program(f"sentinel-{port}", [find_broker(), str(configuration), "--sentinel"], stack.directory))
    for port in ports:
        wait_until(lambda port=port: accepts_connections(port), "the Sentinel is there")  # type: ignore[misc]
        with stack.redis(port) as sentinel:
            wait_until(
                lambda sentinel=sentinel: knows_all(sentinel.sentinel_master("clock")),  # type: ignore[misc]
                "the Sentinel knows all",
            )
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def knows_all(master: dict[str, object]) -> bool:
    """Return whether a Sentinel has found the others and the replica."""
    return (master["num-other-sentinels"], master["num-slaves"]) == (COUNT - 1, 1)


@pytest.mark.fault("Sentinel failover (real sentinels, down-after 1 s)", "flowing within 5 s")
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_failover(stack: Stack, recorder: Recorder, record_property: Measured, fault: signal.Signals) -> None:
    """The master dies; or it stands still, is demoted, and goes on."""
    recorder.follow(start_replica(stack))  # a replica is told what is published, too
    sentinels = {"REDIS_SENTINELS": start_sentinels(stack), "REDIS_MASTER_NAME": "clock"}
    stack.leader(**sentinels)
    stack.ticker(**sentinels).wait_for_output("standing by")
    recorder.add(20, [stack.worker(**sentinels).port])
    before = recorder.run(2)
    stack.broker.signal(fault)
    recorder.run(0.2)  # what was on its way
    seconds = 0.2 + recorder.run_until_flowing()
    record_property("measured", f"{fault.name}: {seconds:.1f} s")
    recorder.run(3)
    if fault == signal.SIGSTOP:
        stack.broker.signal(signal.SIGCONT)
    recorder.run(3)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert all(client.is_open and len(client.visits) == 1 for client in recorder.clients)
    assert seconds <= 5
