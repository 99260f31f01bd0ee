"""A TCP proxy that can become half-open: connections stay open and carry nothing.

    python -m testbed.proxies.half_open PORT TARGET-PORT

After SIGUSR1 nothing passes in either direction, nor on new connections, which are accepted. On SIGUSR2 all data that
waited passes, as TCP would retransmit it.
"""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Final

SILENCE: Final = signal.SIGUSR1
RESTORE: Final = signal.SIGUSR2


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    """Pass on data, and its end, while that is allowed."""
    with suppress(OSError):
        while data := await source.read(1 << 16):
            await passing.wait()
            sink.write(data)
            await sink.drain()
    await passing.wait()
    sink.close()


async def serve(port: int, target: int) -> None:
    """Pass everything between two local ports until killed."""
    passing = asyncio.Event()
    passing.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(SILENCE, passing.clear)
    loop.add_signal_handler(RESTORE, passing.set)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await passing.wait()
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, target_writer, passing), pump(target_reader, writer, passing))

    async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
