"""A crowd on a real worker: sockets that reset, that never read, that come all at once; and other servers."""

import socket
import struct
import sys
import threading
import time
from pathlib import Path

import pytest

from testbed.processes import Broker, Program, Ticker, Worker, wait_until
from testbed.viewers import Viewer, connect, watch
from tournament.up.broker import free_port


def close(viewers: list[Viewer]) -> None:
    """Let them all go."""
    for viewer in viewers:
        viewer.socket.close()


def test_a_crowd_that_comes_at_once(worker: Worker) -> None:
    """Each gets its 101 first and whole frames after it, and those who are there go on getting theirs."""
    (early,) = viewers = [connect(worker.port)]
    watch(viewers, 0.5)
    before = len(early.times)

    def join_in() -> None:
        viewers.append(connect(worker.port))

    threads = [threading.Thread(target=join_in) for _ in range(150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch(viewers, 1.5)
    assert len(viewers) == 151
    assert min(len(viewer.times) for viewer in viewers) > 10
    assert all(viewer.times == sorted(set(viewer.times)) for viewer in viewers)
    assert len(early.times) > before + 50
    close(viewers)


def test_resets_among_a_crowd(worker: Worker) -> None:
    """Half of it goes without a word, and the other half does not notice."""
    viewers = [connect(worker.port) for _ in range(40)]
    watch(viewers, 0.3)
    for viewer in viewers[::2]:
        viewer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    close(viewers[::2])
    stayed = viewers[1::2]
    watch(stayed, 0.2)
    before = [len(viewer.times) for viewer in stayed]
    watch(stayed, 1)
    assert all(len(viewer.times) > count + 50 for viewer, count in zip(stayed, before, strict=True))
    close(stayed)


def test_a_client_that_never_reads_is_cut_off(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Its own kernel goes on taking frames, so only the ping that it does not answer tells. Others stay."""
    stalled_worker = Worker(broker.url, directory)
    stalled_worker.command += ["--ping-interval", "3", "--ping-timeout", "3"]
    with stalled_worker as worker:
        worker.wait_for_ticks()
        reading, stalled = connect(worker.port), connect(worker.port)
        start = time.monotonic()
        deadline = start + 20
        while is_connected(stalled.socket, worker.port):
            watch([reading], 0.2)
            assert time.monotonic() < deadline
        assert time.monotonic() - start > 2.5
        before = len(reading.times)
        watch([reading], 4)
        assert len(reading.times) > before + 200
        close([reading, stalled])


def is_connected(client: socket.socket, port: int) -> bool:
    """Return whether the server's end of a connection is still established (proc(5), /proc/net/tcp: state 01)."""
    ends = f":{port:04X} 0100007F:{client.getsockname()[1]:04X} 01"
    return ends in Path("/proc/net/tcp").read_text()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_another_server_serves_as_well(broker: Broker, ticker: Ticker, directory: Path, server: str) -> None:
    """Without a direct way to write, frames go through `websocket.send`: the same ones, and all of them."""
    if server == "daphne":
        program: Program = Worker(broker.url, directory, plain=True)
        port = program.port  # type: ignore[attr-defined]
    else:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
        program = Program("uvicorn", [*command, "tournament.asgi:application"], directory, {"REDIS_URL": broker.url})
    with program:
        viewers: list[Viewer] = []
        wait_until(lambda: connects(port, viewers), "it takes connections")
        viewers += [connect(port, f"/ws/clock/?rate={rate}") for rate in (100, 10)]
        watch(viewers, 3)
        fast, slow = viewers[-2:]
        assert len(fast.times) > 150
        assert 10 < len(slow.times) < 40
        assert set(slow.times[1:-1]) <= set(fast.times)  # at either end one may come to one of them alone
        assert fast.times == sorted(set(fast.times))
        close(viewers)
        assert "Traceback" not in program.output()


def connects(port: int, viewers: list[Viewer]) -> bool:
    """Return whether a viewer could connect; it is kept."""
    try:
        viewers.append(connect(port))
    except OSError:
        return False
    return True
