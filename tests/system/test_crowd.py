"""Many viewers on a real worker: connecting at once, resetting; and the same application on other servers."""

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.processes import Broker, PlainWorker, Program, Ticker, Worker, accepts_connections, free_port, wait_until
from testbed.viewers import Viewer, close, connect, watch

CROWD = 150


def test_a_crowd_connects_at_once_and_half_of_it_resets(worker: Worker) -> None:
    """150 viewers connect at once: each gets its 101 first, then whole frames in order. Then every other one resets.

    A viewer that was there before gets its frames all the time, and so do those that stay.
    """
    early = connect(worker.port)
    watch([early], 0.3)
    before = len(early.times)
    crowd: list[Viewer] = []
    threads = [threading.Thread(target=lambda: crowd.append(connect(worker.port))) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(crowd) == CROWD
    watch([early, *crowd], 1)
    assert min(len(viewer.times) for viewer in crowd) > 10
    assert all(viewer.times == sorted(set(viewer.times)) for viewer in (early, *crowd))
    assert len(early.times) > before + 30

    leaving, staying = crowd[::2], [early, *crowd[1::2]]
    for viewer in leaving:
        viewer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    close(leaving)
    watch(staying, 0.1)
    counts = [len(viewer.times) for viewer in staying]
    watch(staying, 0.7)
    assert all(len(viewer.times) > count + 20 for viewer, count in zip(staying, counts, strict=True))
    close(staying)


@pytest.fixture
def other_servers(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[dict[str, tuple[Program, int]]]:
    """Daphne itself and Uvicorn with the clock's application, and their ports."""
    assert ticker.running
    daphne, port = PlainWorker(broker.url, directory), free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    uvicorn = Program("uvicorn", [*command, "tournament.asgi:application"], directory, {"REDIS_URL": broker.url})
    servers = {"daphne": (daphne, daphne.port), "uvicorn": (uvicorn, port)}
    with ExitStack() as stack:
        uvicorn.start()
        stack.callback(uvicorn.kill)
        stack.enter_context(daphne)
        daphne.wait_for_ticks()
        wait_until(lambda: accepts_connections(port), "Uvicorn accepts connections")
        yield servers


@pytest.mark.soak
def test_other_servers_send_the_same_frames(other_servers: dict[str, tuple[Program, int]]) -> None:
    """Without the worker's extension, frames are sent with `websocket.send`: the same ones, at each rate.

    Also to viewers that leave the rate or the phase to the worker.
    """
    queries = ("rate=100", "rate=10", "rate=auto", "rate=10&phase=any", "rate=10&phase=any")
    viewers = {
        name: [connect(port, f"/ws/clock/?{query}") for query in queries] for name, (_, port) in other_servers.items()
    }
    everybody = [viewer for group in viewers.values() for viewer in group]
    watch(everybody, 2)
    for fast, slow, auto, *any_phase in viewers.values():
        assert len(auto.times) >= 18
        assert auto.times == sorted(set(auto.times))
        for viewer in any_phase:
            assert 8 < len(viewer.times) < 30
            assert viewer.times == sorted(set(viewer.times))
        assert len(fast.times) > 80
        assert 8 < len(slow.times) < 30
        assert set(slow.times[1:-1]) <= set(fast.times)  # at either end a tick may have reached only one of them
        assert fast.times == sorted(set(fast.times))
    close(everybody)
    for program, _ in other_servers.values():
        assert "Traceback" not in program.output()
