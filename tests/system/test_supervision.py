"""The background tasks of a worker, killed one after the other in a real process."""

import json
import re
import signal
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from testbed.processes import Broker, PlainWorker, Ticker, Worker, wait_until
from testbed.viewers import connect as watch_from

TASKS = (
    "relay",
    "comparison",
    "rate control",
    "heartbeat",
    "application checker",
    "timeout checker",
    "garbage collection",
)


class Workers(NamedTuple):
    """Workers that harm themselves when a test asks them to (`testbed.faults.saboteur`)."""

    drains_at_once: Worker
    drains_late: Worker
    plain_daphne: Worker


@pytest.fixture(scope="module")
def workers(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Workers]:
    """Three workers, for the tests of this module in their order."""
    assert ticker.running
    notices = {"CLOCK_DRAIN_SPREAD": "0", "CLOCK_DRAIN_NOTICE": "0"}
    workers = Workers(
        Worker(broker.url, directory, **notices),
        Worker(broker.url, directory, **{**notices, "CLOCK_DRAIN_NOTICE": "60"}),
        PlainWorker(broker.url, directory, **notices),
    )
    with ExitStack() as stack:
        for worker in workers:
            worker.command[-1] = "testbed.faults.saboteur:application"
            stack.enter_context(worker)
        for worker in workers:
            worker.wait_for_ticks()
        yield workers


def tasks(worker: Worker) -> dict[str, int]:
    """Return the number of tasks of each name."""
    counted: dict[str, int] = json.loads(worker.get("/tasks")[1])
    return counted


def expect_going_away(worker: Worker, path: str = "", signal_number: signal.Signals | None = None) -> None:
    """Connect a viewer, make the worker end by a signal or a path or both, and see the viewer closed with 4012."""
    with connect(f"ws://{worker.host}/ws/clock/", origin=Origin(f"http://{worker.host}")) as viewer:
        if signal_number is not None:
            worker.signal(signal_number)
            wait_until(lambda: worker.get("/readyz")[0] == 503, "the worker drains", 5)
        if path:
            worker.get(path)
        with pytest.raises(ConnectionClosed, match="4012"):
            while True:
                viewer.recv(timeout=5)


def test_failed_requests_all_get_an_answer(workers: Workers) -> None:
    """The task that answers failed requests survives the first of them."""
    worker = workers.drains_at_once
    for _ in range(3):
        assert worker.get("/fail")[0] == 500
    assert worker.get("/healthz")[0] == 200
    assert "restarting" not in worker.output()


def test_each_task_is_restarted(workers: Workers) -> None:
    """Each failure is logged, and the task runs again, once. A viewer stays connected and gets ticks."""
    worker = workers.drains_at_once
    wait_until(lambda: tasks(worker).keys() >= {*TASKS}, "all tasks run")
    with watch_from(worker.port).socket as viewer:
        for number, name in enumerate(TASKS, start=1):
            assert worker.get("/cancel/" + urllib.parse.quote(name))[0] == 200
            worker.wait_for_output(f"the task {name!r} failed; restarting it in 0.1 s")
            wait_until(lambda name=name: tasks(worker).get(name) == 1, f"{name} runs again, once", 5)  # type: ignore[misc]
            assert worker.output().count("; restarting it") == number
        viewer.settimeout(5)
        wait_until(lambda: b'"at"' in viewer.recv(1 << 20), "ticks arrive", 5)
        wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready", 5)


def test_a_worker_that_gives_up_drains_and_fails(workers: Workers) -> None:
    """It closes its viewers with 4012. Its exit code is 1, so that it is started again."""
    worker = workers.drains_at_once
    expect_going_away(worker, "/give-up")
    assert worker.wait() == 1
    assert "a test says so: ending this worker" in worker.output()
    last = worker.output().splitlines()[-1]
    assert re.search(r'level=CRITICAL .* message="\S+ \S+ worker ended: a test says so"', last)


def test_a_cancelled_drain_completes(workers: Workers) -> None:
    """It skips its notice of 60 s, closes the viewers with 4012, and the exit code is 0."""
    worker = workers.drains_late
    expect_going_away(worker, "/cancel/drain", signal.SIGTERM)
    assert worker.wait() == 0


def test_plain_daphne_that_gives_up_fails(workers: Workers) -> None:
    """It has no drain, but it ends, with exit code 1."""
    worker = workers.plain_daphne
    worker.get("/give-up")
    assert worker.wait() == 1
    assert "a test says so: ending this process" in worker.output()
