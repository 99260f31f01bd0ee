"""Redis that goes: restarted, paused, hanging up, silent, failed over, not there yet, or unwilling."""

import sys
from collections.abc import Callable

import pytest

from testbed.processes import Program, Worker, accepts_connections, wait_until
from testbed.proxies.half_open import HEALED, SILENT
from testbed.recording.checker import check
from testbed.recording.recorder import Recorder
from tests.faults.conftest import Stack
from tournament.up.broker import free_port

Measured = Callable[[str, object], None]


def two_good_seconds(stack: Stack, recorder: Recorder) -> tuple[int, int]:
    """Start a leader, a standby and a worker with 20 clients; return from when until when all was well."""
    stack.leader()
    stack.ticker().wait_for_output("standing by")
    recorder.add(20, [stack.worker().port])
    return recorder.run(2)


def sockets_kept(recorder: Recorder) -> bool:
    """Return whether no client lost its connection."""
    return all(client.is_open and len(client.visits) == 1 for client in recorder.clients)


@pytest.mark.fault("Redis restarted empty", "flowing again within 3 s of its return, sockets kept")
def test_restarted_empty(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """The lease, the term and the subscriptions are gone."""
    before = two_good_seconds(stack, recorder)
    stack.broker.kill()
    recorder.run(2)
    stack.broker.start()
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert seconds <= 3


@pytest.mark.fault(
    "Redis paused 2 s; subscriber connections killed", "flowing within 500 ms of the end; within 2 s; no burst"
)
def test_paused(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """It holds back all that was asked of it, and then does it at once."""
    before = two_good_seconds(stack, recorder)
    with stack.redis() as redis:
        redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
    pause = recorder.run(2)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"paused: {1000 * seconds:.0f} ms")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_since(pause[0] + 500_000_000) > 1, "it was paused"
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert seconds <= 0.5


@pytest.mark.fault(
    "Redis paused 2 s; subscriber connections killed", "flowing within 500 ms of the end; within 2 s; no burst"
)
def test_subscribers_killed(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """The connections of the worker and the standby, three times."""
    before = two_good_seconds(stack, recorder)
    slowest = 0.0
    for _ in range(3):
        with stack.redis() as redis:
            others = [one for one in redis.client_list(_type="pubsub") if one["addr"] != recorder.redis_address]
            assert len(others) == 2
            for one in others:
                redis.client_kill_filter(_id=one["id"])
        slowest = max(slowest, recorder.run_until_flowing())
        recorder.run(1.5)
    record_property("measured", f"killed: {1000 * slowest:.0f} ms")
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert slowest <= 2


@pytest.mark.fault(
    "Redis refuses everybody: wrong password; maxclients; loading", "flowing within 3 s of the end, sockets kept"
)
@pytest.mark.parametrize(("setting", "refusing", "willing"), [("requirepass", "no", ""), ("maxclients", "1", "10000")])
def test_refusing(
    stack: Stack, recorder: Recorder, record_property: Measured, setting: str, refusing: str, willing: str
) -> None:
    """A password that nobody was told, or no room; and all connections are ended, so that everybody has to ask."""
    before = two_good_seconds(stack, recorder)
    with stack.redis() as redis:
        redis.config_set(setting, refusing)
        here = redis.client_id()
        for one in redis.client_list():
            if one["addr"] != recorder.redis_address and int(one["id"]) != here:
                redis.client_kill_filter(_id=one["id"])
        refused = recorder.run(3)
        redis.config_set(setting, willing)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{setting}: {seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_since(refused[0] + 500_000_000) > 2, "it refused"
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert seconds <= 3


@pytest.mark.fault(
    "Redis refuses everybody: wrong password; maxclients; loading", "flowing within 3 s of the end, sockets kept"
)
def test_loading(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """It is back, and reads for four seconds what it had kept: it lets itself be subscribed to, and gives no lease."""
    before = two_good_seconds(stack, recorder)
    with stack.redis() as redis:
        redis.mset({f"key-{number}": number for number in range(4000)})
        redis.save()
    stack.broker.kill()
    stack.broker.command += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    stack.broker.start()
    with stack.redis() as redis:
        _, end = recorder.run(2)
        assert redis.info("persistence")["loading"] == 1
        recorder.run_until(lambda: redis.info("persistence")["loading"] == 0, "it has loaded")
    seconds = recorder.run_until_flowing()
    record_property("measured", f"loading: {seconds:.2f} s")
    recorder.run(2)
    after = recorder.run(2)
    assert recorder.record.flowing_since(end) > 1, "it gave no lease"
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert seconds <= 3


@pytest.mark.fault("Redis half-open for 20 s", "worker not ready within 2 s; flowing within 5 s of healing")
@pytest.mark.parametrize("who", ["worker", "ticker"])
def test_half_open(stack: Stack, recorder: Recorder, record_property: Measured, who: str) -> None:
    """The link to the worker, or to the only ticker, says nothing any more and stays open."""
    port = free_port()
    command = [sys.executable, "-m", "testbed.proxies.half_open", str(port), str(stack.broker.port)]
    link = stack.run(Program("link", command, stack.directory))
    wait_until(lambda: accepts_connections(port), "the link is there")
    url = f"redis://127.0.0.1:{port}"
    stack.leader(url if who == "ticker" else "")
    worker = stack.worker(url if who == "worker" else "")
    recorder.add(20, [worker.port])
    before = recorder.run(2)
    link.signal(SILENT)
    recorder.run(1.9)
    ready = worker.get("/readyz")
    recorder.run(18)
    assert recorder.record.flowing_since(before[1] + 10**9) > 1, "it was silent"
    link.signal(HEALED)
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{who}'s link: {ready[0]} at 1.9 s, flowing after {seconds:.1f} s")
    recorder.run(3)
    after = recorder.run(2)
    assert check(recorder.record, [before, after]) == []
    assert sockets_kept(recorder)
    assert ready[0] == 503
    assert seconds <= 5
    assert worker.get("/readyz")[0] == 200


@pytest.mark.fault("Redis absent at boot for 30 s", "no crash, no log flood (at most 10 lines), starts by itself")
def test_absent_at_boot(stack: Stack, recorder: Recorder, record_property: Measured) -> None:
    """Ticker and worker start without it."""
    stack.broker.kill()
    ticker = stack.ticker()
    worker = Worker(stack.broker.url, stack.directory)
    stack.workers.append(worker)
    worker.start()
    recorder.add(5, [worker.port])
    recorder.run(30)
    lines = max(len(program.output().splitlines()) for program in (ticker, worker))
    assert ticker.running
    assert worker.running
    stack.broker.start()
    seconds = recorder.run_until_flowing()
    record_property("measured", f"{lines} lines, flowing {seconds:.1f} s after it came")
    recorder.run(2)
    after = recorder.run(2)
    assert check(recorder.record, [after]) == []
    assert sockets_kept(recorder)
    assert lines <= 10
    assert seconds <= 5
