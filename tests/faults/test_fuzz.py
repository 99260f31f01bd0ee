"""Ten thousand inputs that no client should send, on real sockets. Each connection ends soon, and no viewer notices."""

import selectors
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from clock.contract import TICK_MS
from testbed.accounting import open_files, resident_mib, waited_s
from testbed.attacks.fuzz_client import Client
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.subscriber import Published
from testbed.viewers import Viewer, close, connect
from tests.faults.conftest import RecordProperty

INPUTS: Final = 10_000
WARM_UP: Final = 3_000  # inputs after which the memory has reached its size
RATE: Final = 250  # inputs a second
MAX_GROWTH_MIB: Final = 5


def run(inputs: range, worker: Worker, viewer: Viewer, published: Published) -> Iterator[Client]:
    """Send the inputs at `RATE` while the viewer watches; yield each client when it is over.

    The clients' time leaves out what the worker waited for a processor.
    """

    def now() -> float:
        return time.monotonic() - waited_s(worker.pid)

    clients: deque[Client] = deque()
    numbers = iter(inputs)
    with selectors.DefaultSelector() as selector:
        selector.register(viewer.socket, selectors.EVENT_READ, viewer)
        due = time.monotonic()
        more = True
        while more or clients:
            moment = time.monotonic()
            if more and moment >= due:
                due = max(due, moment - 0.02) + 1 / RATE
                number = next(numbers, None)
                if number is None:
                    more = False
                else:
                    clients.append(client := Client(number, worker.port, now))
                    selector.register(client.socket, selectors.EVENT_READ, client)
            for key, _ in selector.select(max(0.0, min(due - time.monotonic(), 0.01))):
                key.data.read()
            published.receive()
            for client in list(clients):
                client.check_time()
                if client.is_over:
                    selector.unregister(client.socket)
                    client.socket.close()
                    clients.remove(client)
                    yield client


@pytest.mark.timeout(180)
@pytest.mark.fault(
    "10,000 inputs that no client should send: floods, pings, garbage, oversized and fragmented frames",
    "closed within 1 s; no traceback; viewers unaffected",
    readme=True,
)
def test_fuzz(broker: Broker, ticker: Ticker, directory: Path, record_property: RecordProperty) -> None:
    """Each is answered or closed within a second. The worker keeps nothing, and a viewer misses nothing.

    One tick of a hundred may be missing, and those that arrived while the worker waited for a processor.
    """
    assert ticker.running
    with Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        published = Published(broker.port)
        viewer = connect(worker.port)
        files_before, waited_before = open_files(worker.pid), waited_s(worker.pid)
        clients = list(run(range(WARM_UP), worker, viewer, published))
        memory_before = resident_mib(worker.pid)
        clients += run(range(WARM_UP, INPUTS), worker, viewer, published)
        failures = [client.report() for client in clients if client.failure]
        assert not failures, f"{len(failures)}, such as\n" + "\n".join(failures[:20])
        wait_until(lambda: open_files(worker.pid) <= files_before, "the files are closed", 5)
        growth_mib = resident_mib(worker.pid) - memory_before
        due = published.count(viewer.times[0], viewer.times[-1] + 1)
        missed = due - len(viewer.times)
        starved = (waited_s(worker.pid) - waited_before) * 1000 / TICK_MS
        kinds = Counter(client.input.kind for client in clients)
        print(f"{kinds}, {growth_mib:+.1f} MiB, {starved:.0f} ticks without a processor")
        record_property(
            "measured", f"{len(clients)} inputs; a viewer missed {missed} of {due} ticks; {growth_mib:+.1f} MiB"
        )
        assert viewer.times == sorted(set(viewer.times))
        assert missed <= due * 0.01 + starved
        assert growth_mib < MAX_GROWTH_MIB
        published.close()
        close([viewer])
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0
        assert "Traceback" not in worker.output()
