"""A TCP proxy that delays data, as a long link does: each chunk by itself, but in order.

python -m testbed.proxies.delay --port 8002 --to 8001
"""

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from testbed.processes import Program, accepts_connections, free_port, wait_until

DELAY_S, SPREAD_S = 0.08, 0.03  # in each direction: 80 ± 30 ms, evenly distributed
STALL_INTERVAL_S, STALL_S = 25.0, 0.5  # nothing passes for so long, and then everything


class DelayProxy(Program):
    """The proxy, as a process."""

    def __init__(self, to: int, directory: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "testbed.proxies.delay", "--port", str(self.port), "--to", str(to)]
        super().__init__("delay", command, directory)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: accepts_connections(self.port), "the proxy accepts connections")

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"


def due(now: float, since_start: float) -> float:
    """Return when a chunk that is read now arrives, if it does not wait for those before it."""
    arrives = now + random.uniform(DELAY_S - SPREAD_S, DELAY_S + SPREAD_S)
    into_stall = (since_start + arrives - now) % STALL_INTERVAL_S - (
        STALL_INTERVAL_S - STALL_S
    )  # a stall ends each interval
    return arrives + STALL_S - into_stall if into_stall > 0 else arrives


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, due: Callable[[float], float]) -> None:
    """Pass on data, each chunk when it is due, and its end."""
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        loop, last = asyncio.get_running_loop(), 0.0
        while True:
            arrives, chunk = await chunks.get()
            last = max(last, arrives)
            await asyncio.sleep(last - loop.time())
            if not chunk:
                break
            writer.write(chunk)
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        chunk = b"-"
        while chunk:
            chunk = b""
            with contextlib.suppress(ConnectionError):
                chunk = await reader.read(65_536)
            chunks.put_nowait((due(asyncio.get_running_loop().time()), chunk))


async def serve(port: int, to: int) -> None:
    """Delay everything between two local ports."""
    began = time.monotonic()

    def when(now: float) -> float:
        return due(now, time.monotonic() - began)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pass_on(reader, far_writer, when))
            tasks.create_task(pass_on(far_reader, writer, when))

    async with await asyncio.start_server(connect, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.to))
