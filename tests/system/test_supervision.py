"""A worker's background tasks, killed one after the other in a real process."""

import json
import signal
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.viewers import connect as watch_from

AT_ONCE = {"CLOCK_DRAIN_NOTICE": "0", "CLOCK_DRAIN_SPREAD": "0"}


def saboteur(broker: Broker, directory: Path, *, plain: bool = False, **environment: str) -> Worker:
    """Return a worker that does itself harm when it is asked to."""
    environment = {**AT_ONCE, "CLOCK_TIME_ZONE": "Asia/Kathmandu", **environment}
    worker = Worker(broker.url, directory, plain=plain, **environment)
    worker.command[-1] = "testbed.faults.saboteur:application"
    return worker


@pytest.fixture
def worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker that this test may harm."""
    assert ticker.running
    with saboteur(broker, directory) as worker:
        worker.wait_for_ticks()
        yield worker


def tasks(worker: Worker) -> dict[str, int]:
    """Return how many tasks there are of each name."""
    counted: dict[str, int] = json.loads(worker.get("/tasks")[1])
    return counted


NAMES = ("relay", "comparison", "heartbeat", "application checker", "timeout checker")


def test_each_task_is_restarted(worker: Worker) -> None:
    """It is logged, starts again, and there is one of it; the viewers stay, and get ticks."""
    wait_until(lambda: tasks(worker).keys() >= {*NAMES}, "all tasks run")
    with watch_from(worker.port).socket as viewer:
        for number, name in enumerate(NAMES, start=1):
            assert worker.get("/cancel/" + urllib.parse.quote(name))[0] == 200
            worker.wait_for_output(f"the task {name!r} failed; restarting it in 0.1 s")
            wait_until(lambda name=name: tasks(worker).get(name) == 1, f"{name} runs again, once", 5)  # type: ignore[misc]
            assert worker.output().count("; restarting it") == number
        viewer.settimeout(5)
        wait_until(lambda: b'"at"' in viewer.recv(1 << 20), "ticks come", 5)
        wait_until(lambda: worker.get("/readyz")[0] == 200, "it is ready", 5)
    assert worker.stop() == 0


def test_a_drain_that_is_killed_goes_on(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """It hurries, the viewer is told, and the worker ends as if nothing had been."""
    assert ticker.running
    with saboteur(broker, directory, CLOCK_DRAIN_NOTICE="60") as worker:
        worker.wait_for_ticks()
        with connect(f"ws://{worker.host}/ws/clock/", origin=f"http://{worker.host}") as viewer:  # type: ignore[arg-type]
            worker.signal(signal.SIGTERM)
            worker.wait_for_output("told to stop")
            worker.get("/cancel/drain")
            with pytest.raises(ConnectionClosed, match="4012"):
                while True:
                    viewer.recv(timeout=5)
        assert worker.wait() == 0


def test_requests_that_fail_get_their_answer(worker: Worker) -> None:
    """Each of them, and not only the first: the checker that answers them survives."""
    for _ in range(4):
        assert worker.get("/fail")[0] == 500
    assert worker.get("/healthz")[0] == 200
    assert "restarting" not in worker.output()


def test_a_worker_that_gives_up(worker: Worker) -> None:
    """It drains as if it had been told to, and its exit code is not 0, so that it is started anew."""
    with connect(f"ws://{worker.host}/ws/clock/", origin=f"http://{worker.host}") as viewer:  # type: ignore[arg-type]
        worker.get("/give-up")
        with pytest.raises(ConnectionClosed, match="4012"):
            while True:
                viewer.recv(timeout=5)
    assert worker.wait() == 1
    assert "a test says so: ending this worker" in worker.output()


def test_plain_daphne_that_gives_up(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """It knows no drain, but it ends, and its exit code is not 0 either."""
    assert ticker.running
    with saboteur(broker, directory, plain=True) as worker:
        worker.wait_for_ticks()
        worker.get("/give-up")
        assert worker.wait() == 1
        assert "a test says so: ending this process" in worker.output()
