"""A TCP proxy that delays data, as a long link or a busy balancer does: each chunk by itself, but in order.

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
from typing import Final, NamedTuple

from testbed.processes import Program, accepts_connections, free_port, wait_until

STALL_INTERVAL_S = 25.0


class Line(NamedTuple):
    """What a line does to data: it delays it in each direction by `delay_s` ± `spread_s`, evenly distributed.

    For `stall_s` of each `STALL_INTERVAL_S` nothing passes, and then everything.
    """

    delay_s: float
    spread_s: float
    stall_s: float


LONG: Final = Line(delay_s=0.08, spread_s=0.03, stall_s=0.5)
DIRECT: Final = Line(delay_s=0.0, spread_s=0.0, stall_s=0.0)


class DelayProxy(Program):
    """The proxy, as a process."""

    def __init__(self, to: int, directory: Path, line: Line = LONG) -> None:
        self.port = free_port()
        self._to = to
        super().__init__("delay", self._command(line), directory)

    def _command(self, line: Line) -> list[str]:
        command = [sys.executable, "-m", "testbed.proxies.delay", "--port", str(self.port), "--to", str(self._to)]
        return [*command, "--line", *map(str, line)]

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: accepts_connections(self.port), "the proxy accepts connections")

    def restart(self, line: Line) -> None:
        """End all connections, and start it again with another line."""
        self.kill()
        self.command = self._command(line)
        self.start()

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"


def due(now: float, since_start: float, line: Line) -> float:
    """Return when a chunk that is read now arrives, if it does not wait for those before it."""
    arrives = now + random.uniform(line.delay_s - line.spread_s, line.delay_s + line.spread_s)
    into_stall = (since_start + arrives - now) % STALL_INTERVAL_S - (
        STALL_INTERVAL_S - line.stall_s
    )  # a stall ends each interval
    return arrives + line.stall_s - into_stall if into_stall > 0 else arrives


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


async def serve(port: int, to: int, line: Line) -> None:
    """Delay everything between two local ports."""
    began = time.monotonic()

    def when(now: float) -> float:
        return due(now, time.monotonic() - began, line)

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
    parser.add_argument("--line", type=float, nargs=len(LONG), default=LONG, metavar="SECONDS", help="as of `Line`")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.to, Line(*arguments.line)))
