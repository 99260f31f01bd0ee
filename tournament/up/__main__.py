"""`make up`: a broker, a ticker and workers in one terminal, which start and end together.

If a part exits while the clock starts, all of them end: a setting is invalid, or the port is in use. A part that exits
later is restarted with backoff, until its restarts have been failing for a minute.

python -m tournament.up [--bind 127.0.0.1] [--port 8001] [--workers 1]
"""

import argparse
import asyncio
import http.client
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from tournament.configuration.parsers import split_list
from tournament.configuration.setting import read_text
from tournament.up.broker import NoBroker, broker_command, free_port
from tournament.up.part import Part, die_with, keep_running, say

# Seconds within which the clock should show the time.
START_TIMEOUT_S: Final = 30.0


async def shows_time(host: str, port: int, name: str) -> bool:
    """Return whether a worker at this address knows the time. `name` is the Host of the request."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=1)
        try:
            connection.request("GET", "/clock/now", headers={"Host": name})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):  # nothing listens there, or another server
            return False
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def announce(bind: str, port: int, own_broker: str, is_shown: asyncio.Event) -> None:
    """Print the clock's address when it shows the time, and set `is_shown`.

    `own_broker` is the part of a command line that tells a further worker where the broker is.
    """
    host = "127.0.0.1" if bind in {"0.0.0.0", "::"} else bind
    shown = f"[{host}]" if ":" in host else host
    names = [name.lstrip(".") for name in split_list(read_text("DJANGO_ALLOWED_HOSTS", shown))]
    name = shown if {shown, "*"} & {*names} or not names else names[0]
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await shows_time(host, port, name):  # noqa: ASYNC110 - it waits for another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        say("up", f"no time to show after {START_TIMEOUT_S:.0f} s: the lines above may say why")
    else:
        is_shown.set()
        say("up", f"the clock is at http://{name}:{port}/clock/ (Ctrl-C ends it)")
        command = f"{sys.executable} -m tournament.server -p {port + 1} tournament.asgi:application"
        say("up", f"one more worker: {own_broker}{command}")


async def up(bind: str, port: int, workers: int, directory: Path) -> int:
    """Run the parts until a signal, or until one of them exits for good. Return the exit code."""
    parts = []
    environment = dict(os.environ)
    environment.setdefault("CLOCK_LOG_FORMAT", "text")  # the parts write to a pipe, and this writes to people
    own_broker = ""
    if not environment.get("REDIS_URL"):
        broker_port = free_port()
        environment["REDIS_URL"] = f"redis://127.0.0.1:{broker_port}"
        own_broker = f"REDIS_URL={environment['REDIS_URL']} "
        parts.append(Part("broker", broker_command(broker_port, directory), environment, quiet=True))
    server = ["-m", "tournament.server", "-b", bind, "-p", str(port), "tournament.asgi:application"]
    if workers > 1:
        server[2:2] = ["--processes", str(workers)]
    parts.append(Part("ticker", [sys.executable, "manage.py", "ticker"], environment))
    parts.append(Part("worker", [sys.executable, *server], environment))

    loop = asyncio.get_running_loop()
    stop_requested, is_shown, is_ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_requested.set)
    running = [asyncio.create_task(keep_running(part, is_shown, is_ending)) for part in parts]
    announcing = asyncio.create_task(announce(bind, port, own_broker, is_shown))
    stopping = asyncio.create_task(stop_requested.wait())
    done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    for part, task in zip(parts, running, strict=True):
        if task in done:
            part.show()
            say("up", f"{task.exception()}: ending the others")
    is_ending.set()
    for part in reversed(parts):  # the broker last, because the others use it
        await part.end()
    await asyncio.gather(*running, announcing, return_exceptions=True)
    return 0 if stop_requested.is_set() else 1


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tournament.up", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--bind", default="127.0.0.1", help="the address to listen on (0.0.0.0: all; default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8001, help="the port to listen on (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=1, help="the number of workers on the port (default: %(default)s)"
    )
    parser.add_argument(
        "--end-with-parent", action="store_true", help="exit when the process that started this one exits"
    )
    options = parser.parse_args()
    if options.end_with_parent:
        die_with(os.getppid(), signal.SIGTERM)
    try:
        with tempfile.TemporaryDirectory(prefix="clock-") as directory:
            sys.exit(asyncio.run(up(options.bind, options.port, options.workers, Path(directory))))
    except NoBroker as error:
        sys.exit(f"make up: {error}")


if __name__ == "__main__":
    main()
