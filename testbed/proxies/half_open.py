"""A TCP proxy that can fall silent: a half-open link, on which bytes stay away without a word.

    python -m testbed.proxies.half_open PORT TARGET-PORT

After SIGUSR1 nothing passes, in either direction, nor of new connections, which are taken; on SIGUSR2 all that waited
does, as TCP would send it again.
"""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Final

SILENT: Final = signal.SIGUSR1
HEALED: Final = signal.SIGUSR2


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    """Pass on what comes, while that is allowed, and the end."""
    with suppress(OSError):
        while data := await source.read(1 << 16):
            await passing.wait()
            sink.write(data)
            await sink.drain()
    await passing.wait()
    sink.close()


async def serve(port: int, target: int) -> None:
    """Pass everything between a port and another, both local, until killed."""
    passing = asyncio.Event()
    passing.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(SILENT, passing.clear)
    loop.add_signal_handler(HEALED, passing.set)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await passing.wait()
        try:
            there = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, there[1], passing), pump(there[0], writer, passing))

    async with await asyncio.start_server(take, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
