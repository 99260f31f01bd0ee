"""`make up`: a broker, a ticker and a worker in one terminal, and the end of all of them together.

A part that ends while the clock starts ends all of it: a setting is invalid, or the port is in use. One that ends later
is started again, with backoff, until that has failed for a minute.

python -m tournament.up [--bind 127.0.0.1] [--port 8001]
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

# Seconds that the clock is given to show the time.
START: Final = 30.0


async def tells_the_time(host: str, port: int, name: str) -> bool:
    """Return whether a worker there tells the time, when it is asked under a name of its own."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=1)
        try:
            connection.request("GET", "/clock/now", headers={"Host": name})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):  # nobody there, or somebody else
            return False
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def announce(bind: str, port: int, own_broker: str, is_shown: asyncio.Event) -> None:
    """Say where the clock is, once it is there, and set `is_shown`.

    `own_broker` is what a further worker must be told of the broker.
    """
    host = "127.0.0.1" if bind in {"0.0.0.0", "::"} else bind
    shown = f"[{host}]" if ":" in host else host
    names = [name.lstrip(".") for name in split_list(read_text("DJANGO_ALLOWED_HOSTS", shown))]
    name = shown if {shown, "*"} & {*names} or not names else names[0]
    try:
        async with asyncio.timeout(START):
            while not await tells_the_time(host, port, name):  # noqa: ASYNC110 - it is another process that is waited for
                await asyncio.sleep(0.1)
    except TimeoutError:
        say("up", f"still no time to show after {START:.0f} s; the lines above may say why")
    else:
        is_shown.set()
        say("up", f"the clock is at http://{name}:{port}/clock/ (Ctrl-C ends it)")
        command = f"{sys.executable} -m tournament.server -p {port + 1} tournament.asgi:application"
        say("up", f"one more worker: {own_broker}{command}")


async def up(bind: str, port: int, directory: Path) -> int:
    """Run the parts until a signal, or until one of them ends. Return the exit code."""
    parts = []
    environment = dict(os.environ)
    own_broker = ""
    if not environment.get("REDIS_URL"):
        broker_port = free_port()
        environment["REDIS_URL"] = f"redis://127.0.0.1:{broker_port}"
        own_broker = f"REDIS_URL={environment['REDIS_URL']} "
        parts.append(Part("broker", broker_command(broker_port, directory), environment, quiet=True))
    server = ["-m", "tournament.server", "-b", bind, "-p", str(port), "tournament.asgi:application"]
    parts.append(Part("ticker", [sys.executable, "manage.py", "ticker"], environment))
    parts.append(Part("worker", [sys.executable, *server], environment))

    loop = asyncio.get_running_loop()
    told_to_stop, is_shown, is_ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told_to_stop.set)
    running = [asyncio.create_task(keep_running(part, is_shown, is_ending)) for part in parts]
    announcing = asyncio.create_task(announce(bind, port, own_broker, is_shown))
    stopping = asyncio.create_task(told_to_stop.wait())
    done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    for part, task in zip(parts, running, strict=True):
        if task in done:
            part.show()
            say("up", f"{task.exception()}: ending the others")
    is_ending.set()
    for part in reversed(parts):  # the broker last, so that nobody misses it
        await part.end()
    await asyncio.gather(*running, announcing, return_exceptions=True)
    return 0 if told_to_stop.is_set() else 1


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tournament.up", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--bind", default="127.0.0.1", help="the address to listen on (0.0.0.0: all; default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8001, help="the port to listen on (default: %(default)s)")
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this one ends"
    )
    options = parser.parse_args()
    if options.end_with_parent:
        die_with(os.getppid(), signal.SIGTERM)
    try:
        with tempfile.TemporaryDirectory(prefix="clock-") as directory:
            sys.exit(asyncio.run(up(options.bind, options.port, Path(directory))))
    except NoBroker as error:
        sys.exit(f"make up: {error}")


if __name__ == "__main__":
    main()
