"""A worker that receives its ticks from a replica of Redis, and compares clocks with the master."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.processes import Ticker, Worker, wait_until
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL
from testbed.viewers import connect, watch


@pytest.fixture(scope="module")
def master(directory: Path) -> Iterator[Server]:
    """The server that the ticker publishes to."""
    with Server(directory) as server:
        yield server


@pytest.fixture(scope="module")
def replica(directory: Path, master: Server) -> Iterator[Server]:
    """Its replica, which follows it."""
    with Server(directory, "--replicaof", f"127.0.0.1 {master.port}") as server:
        wait_until(lambda: is_linked(server), "the replica follows the master")
        yield server


@pytest.fixture(scope="module")
def worker(directory: Path, master: Server, replica: Server) -> Iterator[Worker]:
    """A worker of both, which has a bound."""
    url = f"redis://{master.address}"
    with (
        Ticker(url, directory),
        Worker(url, directory, CLOCK_REDIS_REPLICA_URL=f"redis://{replica.address}") as worker,
    ):
        worker.wait_for_ticks()
        wait_until(lambda: bound_of(worker) is not None, "ticker and worker have compared their clocks")
        yield worker
        assert "Traceback" not in worker.output()


def is_linked(replica: Server) -> bool:
    """Return whether a replica follows its master."""
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def bound_of(worker: Worker) -> float | None:
    """Return the bound that a worker states."""
    bound: float | None = json.loads(worker.get("/clock/now")[1])["bound"]
    return bound


def subscribers(server: Server) -> int:
    """Return how many clients of a server are subscribed to the ticks."""
    with server.client() as client:
        ((_, count),) = client.pubsub_numsub(CHANNEL)
        return int(count)


def test_the_worker_subscribes_to_the_replica_alone(worker: Worker, master: Server, replica: Server) -> None:
    """And its bound is known, because it compares clocks with the server that the ticker publishes to."""
    assert (subscribers(master), subscribers(replica)) == (0, 1)
    bound = bound_of(worker)
    assert bound is not None
    assert bound < 20


def lose_link(master: Server, _: Server) -> None:
    """End the connection of the replica, which connects again within a second and gets what it has missed."""
    with master.client() as client:
        assert client.execute_command("CLIENT", "KILL", "TYPE", "replica") == 1


def stand_still(_: Server, replica: Server) -> None:
    """Stop the replica for longer than a tick may be late. Then it passes on everything that has waited meanwhile."""
    replica.signal(signal.SIGSTOP)
    time.sleep(1.6)
    replica.signal(signal.SIGCONT)


@pytest.mark.soak
@pytest.mark.parametrize("interrupt", [lose_link, stand_still])
def test_a_replica_that_catches_up_brings_no_burst_of_old_ticks(
    worker: Worker, master: Server, replica: Server, interrupt: Callable[[Server, Server], None]
) -> None:
    """It passes on all ticks that it has missed, at once. A viewer gets hardly any of them, and none that is old."""
    viewers = [connect(worker.port)]
    watch(viewers, 0.3)
    (viewer,) = viewers
    interrupted_ms = time.time() * 1_000
    interrupt(master, replica)
    watch(viewers, 2.5)
    viewer.socket.close()
    assert viewer.times == sorted(set(viewer.times))
    late_ms = [received - at for at, received in zip(viewer.times, viewer.received_ms, strict=True)]
    assert max(late_ms) < 1_100
    missed = [late for at, late in zip(viewer.times, late_ms, strict=True) if at > interrupted_ms and late > 100]
    assert len(missed) < 10
    assert viewer.received_ms[-1] > time.time() * 1_000 - 500


def test_a_replica_that_returns_is_found(worker: Worker, replica: Server) -> None:
    """Without it no ticks arrive, and the log says so. With it they do."""
    replica.kill()
    worker.wait_for_output("Redis is unavailable")
    wait_until(lambda: worker.get("/readyz")[0] == 503, "no ticks arrive")
    replica.start()
    wait_until(lambda: worker.get("/readyz")[0] == 200, "ticks arrive again")
    assert subscribers(replica) == 1
