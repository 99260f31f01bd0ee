"""One part of the clock that `make up` runs: a process, which is restarted when it exits."""

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import sys
from collections import deque
from typing import Final

from clock.process.restart_policy import RestartPolicy

# Seconds that a part has to exit before it is killed.
EXIT_TIMEOUT_S: Final = 10.0

# Seconds before a part that exited is restarted: the first time, and at most.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0

# Lines of a quiet part's output that are kept, to be shown if it exits by itself.
KEPT_LINES: Final = 20

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Exited(Exception):
    """A part exited by itself; the text says which, and its exit code."""


def die_with(parent: int, signal_number: int) -> None:
    """Have the kernel signal this process when `parent` ends, even by SIGKILL. Linux only; elsewhere no effect."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal_number)


class Part:
    """One process. Its output is shown with its name before each line; that of a quiet one if it exits by itself."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
        self.name = name
        self._unshown: deque[str] | None = deque(maxlen=KEPT_LINES) if quiet else None
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start the process, and show what it prints until it exits.

        Raises:
            Exited: always, when it has exited.
        """
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the parts in order
            preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGKILL),
        )
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if self._unshown is None:
                say(self.name, line)
            else:
                self._unshown.append(line)
        raise Exited(f"the {self.name} exited with code {await process.wait()}")

    def show(self) -> None:
        """Show the last lines that a quiet part printed."""
        for line in self._unshown or ():
            say(self.name, line)

    async def end(self) -> None:
        """End the process: by SIGINT, which hurries a worker's drain, and after `EXIT_TIMEOUT_S` by SIGKILL."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), EXIT_TIMEOUT_S)
            except TimeoutError:
                say("up", f"the {self.name} does not exit: killing it")
                process.kill()
                await process.wait()


async def keep_running(part: Part, is_shown: asyncio.Event, is_ending: asyncio.Event) -> None:
    """Run a part, and restart it when it exits.

    Raises:
        Exited: it exited before the clock was shown or while all parts end, or its restarts have been failing for
            `GIVE_UP_AFTER_S` seconds.
    """
    policy = RestartPolicy(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    while True:
        policy.record_start()
        try:
            await part.run()
        except Exited as exited:
            pause_s = policy.record_failure()
            if is_ending.is_set() or not is_shown.is_set() or policy.should_give_up():
                raise
            part.show()
            say("up", f"{exited}: restarting it in {pause_s:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await is_ending.wait()
                raise


def say(name: str, line: str) -> None:
    """Print one labelled line."""
    print(f"{name:>6} | {line}", flush=True)  # noqa: T201 - this is a program for a terminal
