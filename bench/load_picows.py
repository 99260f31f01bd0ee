"""The load generator without a compiler: the same commands, answers and strictness as load.c, on picows.

python -m bench.load_picows PORT [KEY ACCEPT]

It costs several times as much, so it is the bottleneck sooner; the report says so when it is. The key is picows' own.
"""

import asyncio
import json
import logging
import resource
import sys
from collections import Counter
from typing import Any

from picows import WSError, ws_connect

from bench.picows_client import Client, Tally, Window, next_tick, wall_ms
from testbed.subscriber import percentile

GRACE = 0.3  # seconds: what was told before the end of a window may still come for so long
CLIENT_LIMIT = 30.0  # seconds for one client to get in, and for all of them
CONNECT_LIMIT = 90.0


def percentiles(name: str, values: list[float]) -> dict[str, float | None]:
    """Return the median and the 99th of a hundred; None where there is nothing."""
    return {f"{name}_p{one}_ms": round(percentile(values, one), 3) if values else None for one in (50, 99)}


def cpu_seconds() -> float:
    """Return the CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Load:
    """All the clients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []
        self.tally = Tally()
        self._cpu = 0.0

    async def obey(self, line: str) -> dict[str, Any]:
        """Carry out a command and return the answer."""
        match line.split():
            case ["connect", count, parallel, calls, path]:
                return await self._connect(int(count), int(parallel), int(calls), path)
            case ["begin"]:
                return self._begin()
            case ["end"] if self.tally.window is not None:
                return await self._end(self.tally.window)
            case ["close"]:
                return await self._close()
        return {"error": "no such command, or not now"}

    async def _connect(self, count: int, parallel: int, calls: int, path: str) -> dict[str, Any]:
        begun = wall_ms()
        turns, failures = asyncio.Semaphore(parallel), Counter[str]()
        fresh: list[Client] = []
        nows: list[tuple[float, bool]] = []

        async def enter() -> None:
            async with turns:
                client = Client(self.tally)
                try:
                    async with asyncio.timeout(CLIENT_LIMIT):
                        await asyncio.gather(self._stream(client, path), self._ask(calls, nows))
                except (WSError, OSError, EOFError, ValueError, TimeoutError) as error:
                    failures[f"{type(error).__name__}: {error}".replace('"', "'")[:90]] += 1
                    client.fail("it never got in")
                    if client.transport is not None:
                        client.transport.disconnect(graceful=False)
                else:
                    fresh.append(client)

        done, late = await asyncio.wait([asyncio.create_task(enter()) for _ in range(count)], timeout=CONNECT_LIMIT)
        for task in late:
            task.cancel()
            failures["its turn never came"] += 1
        for task in done:
            task.result()
        self.clients += fresh
        seconds = (wall_ms() - begun) / 1000
        return {
            "asked": count,
            "in": len(fresh),
            "seconds": round(seconds, 4),
            "per_second": round(len(fresh) / seconds, 1),
            "other_answers": sum(not ok for _, ok in nows),
            **percentiles("handshake", [one.shaken - one.begun for one in fresh]),
            **percentiles("first_frame", [one.first.result() - one.begun for one in fresh]),
            **percentiles("now", [took for took, _ in nows]),
            "failures": dict(failures),
        }

    async def _stream(self, client: Client, path: str) -> None:
        """Wait for the 101 and the first frame."""
        host = f"127.0.0.1:{self.port}"
        await ws_connect(
            lambda: client,
            f"ws://{host}{path}",
            websocket_handshake_timeout=CLIENT_LIMIT,
            extra_headers={"Origin": f"http://{host}"},
        )
        if not client.shaken:  # the connection ended before the 101, which picows does not think an error
            raise ConnectionError("the connection was closed")
        try:
            await client.first
        except asyncio.CancelledError:
            if client.failure:
                raise ConnectionError(client.failure) from None
            raise

    async def _ask(self, calls: int, nows: list[tuple[float, bool]]) -> None:
        """Ask for the time so often, over one connection; add what each took, and whether it was answered by 200."""
        if not calls:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for _ in range(calls):
                asked = wall_ms()
                writer.write(f"GET /clock/now HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"\r\ncontent-length:" in head:
                    await reader.readexactly(int(head.partition(b"\r\ncontent-length:")[2].split()[0]))
                else:
                    await reader.readuntil(b"0\r\n\r\n")
                nows.append((wall_ms() - asked, head.startswith(b"http/1.1 200")))
        finally:
            writer.close()

    def _begin(self) -> dict[str, Any]:
        self.tally.window = Window()
        self._cpu = cpu_seconds()
        for client in self.clients:
            client.counted = client.streaming
            client.got, client.largest_gap, client.last_came = 0, 0.0, self.tally.window.begun
        return {"clients": sum(client.counted for client in self.clients), "from": self.tally.window.begins}

    async def _end(self, window: Window) -> dict[str, Any]:
        window.ended = wall_ms()
        window.ends = next_tick(window.ended)
        cpu = cpu_seconds() - self._cpu
        await asyncio.sleep(GRACE)
        counted = [client for client in self.clients if client.counted]
        got = sorted(client.got for client in counted)
        late = sorted(window.late)
        seconds = (window.ended - window.begun) / 1000
        gaps = [max(client.largest_gap, window.ended - client.last_came) for client in counted]
        failures, self.tally.window = dict(self.tally.failures), None
        self.tally.failures.clear()
        return {
            "clients": len(counted),
            "from": window.begins,
            "to": window.ends,
            "seconds": round(seconds, 4),
            "frames": len(late),
            "worst": got[0] if got else None,
            "median": got[len(got) // 2] if got else None,
            **{f"late_p{one}_ms": round(percentile(late, one), 3) if late else None for one in (50, 95, 99)},
            "late_max_ms": round(late[-1], 3) if late else None,
            "largest_gap_ms": round(max(gaps, default=0.0), 3),
            "duplicates": window.duplicates,
            "steps_back": window.steps_back,
            "cpu_share": round(cpu / seconds, 4),
            "failures": failures,
        }

    async def _close(self) -> dict[str, Any]:
        self.tally.closing = True
        for client in self.clients:
            if client.transport is not None:
                client.transport.disconnect(graceful=False)
        await asyncio.sleep(0)
        self.tally.closing = False
        count, self.clients, self.tally.window = len(self.clients), [], None
        self.tally.failures.clear()
        return {"closed": count}


async def serve(port: int) -> None:
    """Answer commands until there are no more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    load = Load(port)
    while line := await commands.readline():
        print(json.dumps(await load.obey(line.decode())), flush=True)


if __name__ == "__main__":
    logging.getLogger("picows").setLevel(logging.CRITICAL)  # what a client says of its end is in the answers
    asyncio.run(serve(int(sys.argv[1])))
