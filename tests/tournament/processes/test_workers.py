"""Two workers on one port, as their clients meet them: real processes and real sockets.

tests/faults/test_processes.py kills, stops and replaces them while many clients connect.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clock.contract import CLOSE_FULL, CLOSE_GOING_AWAY
from testbed.accounting import open_files, process_tree
from testbed.processes import ROOT, Broker, Program, Ticker, Worker, accepts_connections, wait_until
from testbed.viewers import TEXT, Viewer, close, handshake, reset_on_close, watch
from testbed.viewers import connect as connect_viewer
from testbed.workers import Workers

CLOSE = 0x88  # the first byte of a close frame (RFC 6455, section 5.2)

FAST = {"CLOCK_DRAIN_NOTICE": "1", "CLOCK_DRAIN_SPREAD": "1"}


@pytest.fixture(scope="module")
def shared(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Workers]:
    """Two workers that have the time. No test may stop them."""
    assert ticker.running
    with Workers(broker.url, directory, **FAST) as workers:
        workers.wait_for_ticks()
        yield workers
        assert "Traceback" not in workers.output()


@pytest.fixture
def workers(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Workers]:
    """Two workers that have the time."""
    assert ticker.running
    with Workers(broker.url, directory, **FAST) as workers:
        workers.wait_for_ticks()
        yield workers
        assert "Traceback" not in workers.output()


def is_alive(pid: int) -> bool:
    """Return whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def close_code(viewer: Viewer) -> int | None:
    """Read until the worker closes, and return its code; None if there is no close frame."""
    viewer.socket.settimeout(10)
    buffer = viewer.buffer
    with viewer.socket:
        while True:
            while len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
                chunk = viewer.socket.recv(65_536)
                if not chunk:
                    return None
                buffer += chunk
            if buffer[0] == CLOSE:
                return int.from_bytes(buffer[2:4])
            buffer = buffer[2 + buffer[1] :]


def counts(workers: Workers) -> list[float]:
    """Return how many viewers each worker has."""
    return [workers.viewers(number) or 0 for number in (1, 2)]


def test_viewers_are_spread_over_both(shared: Workers) -> None:
    """Within 10 %, while pages are requested in between, and again after many have left and others have come."""
    viewers: list[Viewer] = []

    def add(count: int) -> None:
        for number in range(count):
            viewers.append(connect_viewer(shared.port, "/ws/clock/?rate=1"))
            if number % 20 == 0:
                assert [shared.get(path)[0] for path in ("/clock/", "/clock/now", "/readyz")] == [200, 200, 200]
                watch(viewers, 0.01)

    add(300)
    wait_until(lambda: sum(counts(shared)) == 300, "all are counted", 5)
    assert all(135 <= count <= 165 for count in counts(shared)), counts(shared)
    random.Random(1).shuffle(viewers)
    close(viewers[:200])
    del viewers[:200]
    add(200)
    wait_until(lambda: sum(counts(shared)) == 300, "all are counted", 5)
    assert all(135 <= count <= 165 for count in counts(shared)), counts(shared)
    close(viewers)


def test_connections_that_are_reset_at_once_leave_nothing(shared: Workers) -> None:
    """Neither the supervisor nor a worker keeps a descriptor of them."""
    pids = process_tree(shared.pid)
    before = [open_files(pid) for pid in pids]
    for _ in range(500):
        client = socket.create_connection(("127.0.0.1", shared.port))
        reset_on_close(client)
        client.close()
    wait_until(lambda: [open_files(pid) for pid in pids] <= before, "all descriptors are closed", 5)
    assert shared.get("/readyz")[0] == 200


def test_each_worker_is_its_own_process_with_its_own_relay(shared: Workers) -> None:
    """The supervisor has two children, and both receive ticks. Nobody but it listens on the port."""
    assert {shared.child(1), shared.child(2)} == {*process_tree(shared.pid)[1:]}
    assert shared.output().count("receiving ticks") == 2
    assert shared.output().count("listening on http://") == 1
    for number in (1, 2):
        assert f"metrics are on port {shared.metrics_port + number - 1}, /metrics" in shared.output()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_second_server_on_the_port_fails(shared: Workers, broker: Broker, processes: str) -> None:
    """With exit code 1 and the usual message. The first one goes on."""
    options = ["--processes", processes, "-p", str(shared.port)]
    done = subprocess.run(
        [sys.executable, "-m", "tournament.server", *options, "tournament.asgi:application"],
        cwd=ROOT,
        env={"REDIS_URL": broker.url},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert shared.get("/readyz")[0] == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"CLOCK_DRAIN_NOTICE": "x"}, "CLOCK_DRAIN_NOTICE"), ({"CLOCK_LOG_LEVEL": "x"}, "CLOCK_LOG_LEVEL")],
)
def test_an_invalid_setting_ends_all_at_once(directory: Path, settings: dict[str, str], message: str) -> None:
    """With exit code 1. The message appears once, not once per worker."""
    with contextlib.ExitStack() as stack:
        workers = Workers("redis://127.0.0.1:1", directory, **settings)
        stack.callback(workers.kill)
        Program.start(workers)
        assert workers.wait() == 1
        assert workers.output().count(message) == 1


def test_a_metrics_port_in_use_ends_all(shared: Workers, broker: Broker, directory: Path) -> None:
    """The message names the setting and the port."""
    other = Workers(broker.url, directory)
    other._environment["CLOCK_METRICS_PORT"] = str(shared.metrics_port - 1)
    Program.start(other)
    assert other.wait() == 1
    last = other.output().splitlines()[-1]
    assert f"workers ended: CLOCK_METRICS_PORT={shared.metrics_port - 1} is unavailable for 2 workers" in last
    assert f":{shared.metrics_port}: " in other.output()


@pytest.mark.soak
def test_workers_are_replaced_in_turn(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """SIGUSR1: each is sent away when its successor is ready. Viewers get 4012."""
    with Workers(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0") as workers:
        workers.wait_for_ticks()
        old = {workers.child(1), workers.child(2)}
        clients = [connect_viewer(workers.port) for _ in range(10)]
        workers.signal(signal.SIGUSR1)
        assert [close_code(client) for client in clients] == [CLOSE_GOING_AWAY] * 10
        workers.wait_for_output("all workers are replaced", seconds=30)
        wait_until(lambda: not old & {*process_tree(workers.pid)}, "the old ones have ended", 30)
        assert {*process_tree(workers.pid)[1:]} == {workers.child(1), workers.child(2)}
        wait_until(lambda: None not in map(workers.opened, (1, 2)), "both have their metrics ports", 5)
        assert "Traceback" not in workers.output()


def test_sigterm_drains_all(workers: Workers) -> None:
    """They serve on while they report that they are not ready; then nothing listens, and viewers get 4012. Exit 0."""
    children = process_tree(workers.pid)[1:]
    clients = [connect_viewer(workers.port) for _ in range(10)]
    workers.signal(signal.SIGTERM)
    wait_until(lambda: workers.get("/readyz")[0] == 503, "they are not ready", 1)
    assert workers.get("/readyz")[1] == '{"ready": false, "reasons": ["draining"]}'
    assert workers.get("/clock/now")[0] == 200
    wait_until(lambda: not accepts_connections(workers.port), "nothing listens", 5)
    assert [close_code(client) for client in clients] == [CLOSE_GOING_AWAY] * 10
    assert workers.wait() == 0
    assert not any(map(is_alive, children))
    lines = workers.output().splitlines()
    assert "supervisor of 2 workers starting" in lines[0]
    assert "supervisor of 2 workers ended: stopped by SIGTERM" in lines[-1]
    assert sum("worker ended: the supervisor stops" in line for line in lines) == 2


@pytest.mark.soak
def test_one_signal_for_all_processes_does_not_hurry(workers: Workers) -> None:
    """As from systemd, which signals the supervisor and its workers. Each drains as after one signal."""
    client = connect_viewer(workers.port)
    start = time.monotonic()
    for pid in process_tree(workers.pid):
        os.kill(pid, signal.SIGTERM)
    assert close_code(client) == CLOSE_GOING_AWAY
    assert time.monotonic() - start >= 1, "the notice"
    assert workers.wait() == 0


@pytest.mark.soak
def test_ctrl_c_hurries(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """However long notice and spread are."""
    with Workers(broker.url, directory, CLOCK_DRAIN_NOTICE="60", CLOCK_DRAIN_SPREAD="60") as workers:
        workers.wait_for_ticks()
        clients = [connect_viewer(workers.port) for _ in range(4)]
        workers.signal(signal.SIGINT)
        assert [close_code(client) for client in clients] == [CLOSE_GOING_AWAY] * 4
        assert workers.wait(6) == 0


@pytest.mark.soak
def test_workers_outlive_their_supervisor_only_to_drain(workers: Workers) -> None:
    """When it is killed, viewers get 4012, and no process is left."""
    children = process_tree(workers.pid)[1:]
    clients = [connect_viewer(workers.port) for _ in range(4)]
    workers.signal(signal.SIGKILL)
    assert [close_code(client) for client in clients] == [CLOSE_GOING_AWAY] * 4
    wait_until(lambda: not any(map(is_alive, children)), "all have ended", 10)


@pytest.mark.soak
def test_the_address_of_a_client_is_its_own(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """So the limit per address holds, on each worker."""
    with (
        Workers(broker.url, directory, CLOCK_MAX_VIEWERS_PER_ADDRESS="1", **FAST) as workers,
        contextlib.ExitStack() as s,
    ):
        workers.wait_for_ticks()

        def first_byte(address: str) -> int:
            """Connect from an address, and return the first byte of the first frame."""
            client = s.enter_context(
                socket.create_connection(("127.0.0.1", workers.port), timeout=5, source_address=(address, 0))
            )
            rest = handshake(client, workers.port, "/ws/clock/")
            return (rest or client.recv(1))[0]

        first = [first_byte("127.0.0.1") for _ in range(2)]
        assert first == [TEXT, TEXT], "one on each worker"
        assert first_byte("127.0.0.1") == CLOSE
        assert first_byte("127.0.0.2") == TEXT


@pytest.mark.soak
def test_a_full_worker_gets_nothing_new(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Both fill up; then newcomers are told so with 4013; who leaves makes room on the right worker."""
    with Workers(broker.url, directory, CLOCK_MAX_VIEWERS="5", **FAST) as workers:
        workers.wait_for_ticks()
        viewers = [connect_viewer(workers.port) for _ in range(10)]
        assert counts(workers) == [5, 5]
        wait_until(lambda: workers.get("/readyz")[0] == 503, "both are full", 2)
        assert close_code(connect_viewer(workers.port)) == CLOSE_FULL
        close(viewers[:1])
        time.sleep(0.5)
        viewers.append(connect_viewer(workers.port))
        watch(viewers[-1:], 0.1)
        assert viewers[-1].times
        close(viewers[1:])


@pytest.mark.soak
def test_a_unix_socket(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Daphne's `-u` works as on one worker. The file is removed at the end."""
    path = directory / "workers"
    workers = Workers(broker.url, directory, **FAST)
    workers.command[workers.command.index("-p") :] = ["-u", str(path), "tournament.asgi:application"]
    Program.start(workers)
    try:
        workers.wait_for_ticks()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        workers.signal(signal.SIGINT)
        assert workers.wait() == 0
        assert not path.exists()
    finally:
        workers.kill()


def test_one_process_has_no_supervisor(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """`--processes 1` is a worker as without the option. It ignores SIGUSR1."""
    worker = Worker(broker.url, directory, **FAST)
    worker.command[3:3] = ["--processes", "1"]
    with worker:
        worker.wait_for_ticks()
        worker.signal(signal.SIGUSR1)
        assert process_tree(worker.pid) == [worker.pid]
        assert worker.get("/readyz")[0] == 200
        assert worker.stop() == 0
