"""The supervisor: restarts background tasks that fail, with backoff, and says so.

A server or a channel layer that is unavailable is no failure: each task handles that itself and goes on. What arrives
here is an error that nobody foresaw. It is logged with its traceback, and the task starts again. A task without which
the process is useless is `vital`: after `GIVE_UP_AFTER` seconds of failing restarts the process is told to end, so that
whoever started it can start another.
"""

import asyncio
import atexit
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clock.process.backoff import Backoff

logger = logging.getLogger(__name__)

Run = Callable[[], Coroutine[Any, Any, None]]

# Seconds between a failure and the restart: the first, and the longest.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

# Seconds that a task must run without failing to count as healthy again.
HEALTHY_AFTER: Final = 10.0

# Seconds of failing restarts after which the process ends because of a vital task.
GIVE_UP_AFTER: Final = 60.0


def end_process(reason: str) -> None:
    """End this process in good order and with exit code 1, under any server: each of them stops on SIGTERM."""
    logger.critical("%s: ending this process", reason)
    atexit.register(_exit_with_failure)  # a server that stops on SIGTERM has not failed, as it sees it
    signal.raise_signal(signal.SIGTERM)


def _exit_with_failure() -> None:
    logging.shutdown()
    os._exit(1)


class _Supervised:
    """One task: how to start it, and how it has fared."""

    def __init__(self, run: Run, *, vital: bool) -> None:
        self.run = run
        self.vital = vital
        self.task: asyncio.Task[None] | None = None
        self.restart: asyncio.TimerHandle | None = None
        self.backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self.started_at = 0.0
        self.failing_since: float | None = None
        self.down_since: float | None = None  # None while it runs


class Supervisor:
    """Runs named tasks on the running event loop. `give_up(reason)` is called at most once, for a vital task."""

    def __init__(
        self, give_up: Callable[[str], None] = lambda _reason: None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.give_up = give_up
        self._now = now
        self._tasks: dict[str, _Supervised] = {}
        self._gave_up = False

    def start(self, name: str, run: Run, *, vital: bool = False) -> None:
        """Start `run()` as a task of this name; nothing happens if one of this name is supervised already.

        A task that returns is finished. One that raises, or is cancelled by anybody but `stop`, is started again.
        """
        if name not in self._tasks:
            self._tasks[name] = _Supervised(run, vital=vital)
            self._launch(name)

    def is_supervised(self, name: str) -> bool:
        """Return whether a task of this name was started, and has neither returned nor been stopped."""
        return name in self._tasks

    def down_for(self, name: str) -> float:
        """Return for how many seconds a task has not been running, or has kept failing; 0 for one that is well."""
        supervised = self._tasks.get(name)
        if supervised is None:
            return 0.0
        since = supervised.failing_since if self._is_failing(supervised) else supervised.down_since
        return 0.0 if since is None else self._now() - since

    async def stop(self, *names: str) -> None:
        """Cancel these tasks, or all if none is named, and wait for their end."""
        stopped = [self._tasks.pop(name) for name in names or tuple(self._tasks) if name in self._tasks]
        running = set()
        for supervised in stopped:
            if supervised.restart is not None:
                supervised.restart.cancel()
            if supervised.task is not None and not supervised.task.done():
                supervised.task.cancel()
                running.add(supervised.task)
        if running:
            await asyncio.wait(running)

    def _is_failing(self, supervised: _Supervised) -> bool:
        if supervised.failing_since is None:
            return False
        healthy = supervised.down_since is None and self._now() - supervised.started_at >= HEALTHY_AFTER
        return not healthy

    def _launch(self, name: str) -> None:
        supervised = self._tasks[name]
        supervised.restart = None
        supervised.started_at, supervised.down_since = self._now(), None
        supervised.task = asyncio.get_running_loop().create_task(supervised.run(), name=name)
        supervised.task.add_done_callback(lambda task: self._ended(name, supervised, task))

    def _ended(self, name: str, supervised: _Supervised, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is not supervised:  # it was stopped
            if not task.cancelled() and task.exception() is not None:
                logger.error("the task %r failed while it was stopped", name, exc_info=task.exception())
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            del self._tasks[name]
            return
        now = self._now()
        if not self._is_failing(supervised):
            supervised.failing_since = now
            supervised.backoff.reset()
        supervised.down_since = now
        pause = supervised.backoff.pause()
        logger.error("the task %r failed; restarting it in %.1f s", name, pause, exc_info=error)
        failing_for = now - (supervised.failing_since or now)
        if supervised.vital and failing_for >= GIVE_UP_AFTER and not self._gave_up:
            self._gave_up = True
            self.give_up(f"the task {name!r} has kept failing for {failing_for:.0f} s")
        supervised.restart = asyncio.get_running_loop().call_later(pause, self._launch, name)
