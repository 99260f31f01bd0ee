"""A load balancer that sends each request to the next worker and prints the paths that were requested.

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

from testbed.processes import Program, Worker, accepts_connections, free_port, wait_until


class Rotation(Program):
    """The balancer, as a process: pages and streams go to some workers in turn, static files to some in turn."""

    def __init__(self, directory: Path, pages: Sequence[Worker], files: Sequence[Worker]) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "testbed.proxies.rotation", "--port", str(self.port)]
        command += ["--pages", *(str(worker.port) for worker in pages)]
        command += ["--files", *(str(worker.port) for worker in files)]
        super().__init__("rotation", command, directory)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: accepts_connections(self.port), "the balancer accepts connections")

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def requested(self) -> list[str]:
        """The paths that were requested so far."""
        return self.output().split()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on data, and its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, pages: Iterator[int], files: Iterator[int]) -> None:
    """Send each request to the next worker until killed. A connection carries only one request."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            worker_reader, worker_writer = await asyncio.open_connection(
                "127.0.0.1", next(files if path.startswith("/static/") else pages)
            )
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        print(path, flush=True)
        if b"Upgrade: websocket" not in head:
            head = re.sub(rb"\r\nConnection: [^\r]*", b"\r\nConnection: close", head)
        worker_writer.write(head)
        await asyncio.gather(pump(reader, worker_writer), pump(worker_reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pages", type=int, nargs="+", required=True)
    parser.add_argument("--files", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, itertools.cycle(arguments.pages), itertools.cycle(arguments.files)))
