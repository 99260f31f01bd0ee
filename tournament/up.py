"""`make up`: a broker, a ticker and a worker in one terminal, and the end of all of them together.

A part that ends while the clock starts ends all of it: a setting is invalid, or the port is in use. One that ends later
is started again, with backoff, until that has failed for a minute.

python -m tournament.up [--bind 127.0.0.1] [--port 8001]
"""

import argparse
import asyncio
import contextlib
import ctypes
import functools
import http.client
import os
import signal
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Final

from clock.outage import Backoff
from clock.tasks import GIVE_UP_AFTER, HEALTHY_AFTER
from tournament.broker import NoBroker, broker_command, free_port
from tournament.environment import words

# Seconds that a part is given to end by itself, and that the clock is given to show the time.
GRACE: Final = 10.0
START: Final = 30.0

# Seconds before a part that ended is started again: the first time, and at most.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Ended(Exception):
    """A part ended by itself; the text says which."""


def die_with(parent: int, signal_number: int) -> None:
    """Have the kernel end this process when `parent` does, even by SIGKILL. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # it ended before it could be asked for
            os.kill(os.getpid(), signal_number)


class Part:
    """One process, whose output is shown with its name before each line; that of a quiet one, if it ends by itself."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
        self.name = name
        self._unshown: deque[str] | None = deque(maxlen=20) if quiet else None
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start, and show what it prints until it ends.

        Raises:
            Ended: it ended.
        """
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to the supervisor alone, which ends the parts in their order
            preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGKILL),
        )
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if self._unshown is None:
                say(self.name, line)
            else:
                self._unshown.append(line)
        raise Ended(f"the {self.name} ended with exit code {await process.wait()}")

    def show(self) -> None:
        """Show the last that a quiet part printed."""
        for line in self._unshown or ():
            say(self.name, line)

    async def end(self) -> None:
        """End it: by SIGINT, which the worker takes for a reason to hurry, and by SIGKILL if that does not do."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), GRACE)
            except TimeoutError:
                say("up", f"the {self.name} does not end: killing it")
                process.kill()
                await process.wait()


async def keep_running(part: Part, is_shown: asyncio.Event, is_ending: asyncio.Event) -> None:
    """Run a part, and start it again when it ends.

    Raises:
        Ended: it ended before the clock was shown or while all ends, or has kept ending for `GIVE_UP_AFTER` seconds.
    """
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    failing_since: float | None = None
    while True:
        started_at = time.monotonic()
        try:
            await part.run()
        except Ended as ended:
            now = time.monotonic()
            if failing_since is None or now - started_at >= HEALTHY_AFTER:
                failing_since = now
                backoff.reset()
            if is_ending.is_set() or not is_shown.is_set() or now - failing_since >= GIVE_UP_AFTER:
                raise
            part.show()
            pause = backoff.pause()
            say("up", f"{ended}: restarting it in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await is_ending.wait()
                raise


def say(name: str, line: str) -> None:
    """Print one labelled line."""
    print(f"{name:>6} | {line}", flush=True)  # noqa: T201 - this is a program for a terminal


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
    names = [name.lstrip(".") for name in words("DJANGO_ALLOWED_HOSTS", shown)]
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
