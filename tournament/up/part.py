"""One part of the clock that runs under `make up`: a process, started again when it ends."""

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import sys
import time
from collections import deque
from typing import Final

from clock.process.backoff import Backoff
from clock.process.supervisor import GIVE_UP_AFTER, HEALTHY_AFTER

# Seconds that a part is given to end by itself.
GRACE: Final = 10.0

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
