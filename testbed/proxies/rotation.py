"""A balancer that hands each request to the next worker, and prints what was asked for.

python -m testbed.proxies.rotation --port 8003 --pages 8001 8002 --files 8002 8001
"""

import argparse
import asyncio
import contextlib
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from testbed.processes import Program, Worker, accepts_connections, wait_until
from tournament.up.broker import free_port


class Rotation(Program):
    """The balancer, as a process: pages and streams from some workers in turn, static files from some in turn."""

    def __init__(self, directory: Path, pages: Sequence[Worker], files: Sequence[Worker]) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "testbed.proxies.rotation", "--port", str(self.port)]
        command += ["--pages", *(str(worker.port) for worker in pages)]
        command += ["--files", *(str(worker.port) for worker in files)]
        super().__init__("rotation", command, directory)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        super().start()
        wait_until(lambda: accepts_connections(self.port), "the balancer takes connections")

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for so far."""
        return self.output().split()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what is read, and the end of it."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, pages: Iterator[int], files: Iterator[int]) -> None:
    """Hand each request to the next worker until killed: a connection carries no second one."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            there = await asyncio.open_connection("127.0.0.1", next(files if path.startswith("/static/") else pages))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        print(path, flush=True)
        if b"Upgrade: websocket" not in head:
            head = re.sub(rb"\r\nConnection: [^\r]*", b"\r\nConnection: close", head)
        there[1].write(head)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with await asyncio.start_server(take, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hand each request to the next worker.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pages", type=int, nargs="+", required=True)
    parser.add_argument("--files", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, itertools.cycle(arguments.pages), itertools.cycle(arguments.files)))
