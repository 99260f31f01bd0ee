"""The supervisor: restarts background tasks that fail, with backoff, and logs each failure.

A server or a channel layer that is unavailable is not a failure: each task handles that itself and continues. What the
supervisor handles is an error that nobody foresaw. It is logged with its traceback, and the task is restarted. A task
without which the process is useless is `vital`: when its restarts have been failing for `GIVE_UP_AFTER_S` seconds, the
process is told to end, so that whatever started it can start another.
"""

import asyncio
import atexit
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clock.process.lifetime import this_process
from clock.process.restart_policy import RestartPolicy

logger = logging.getLogger(__name__)

Run = Callable[[], Coroutine[Any, Any, None]]

# Seconds between a failure and the restart: the first, and the longest.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


def end_process(reason: str) -> None:
    """Shut this process down gracefully, with exit code 1, under any server: each of them stops on SIGTERM."""
    logger.critical("%s: ending this process", reason)
    this_process.because(reason, is_failure=True)
    atexit.register(_exit_with_failure)  # a server that stops on SIGTERM exits with 0
    signal.raise_signal(signal.SIGTERM)


def _exit_with_failure() -> None:
    this_process.end()
    logging.shutdown()
    os._exit(1)


class _Supervised:
    """One task, how to start it, and its failures."""

    def __init__(self, run: Run, policy: RestartPolicy, *, vital: bool) -> None:
        self.run = run
        self.policy = policy
        self.vital = vital
        self.task: asyncio.Task[None] | None = None
        self.restart: asyncio.TimerHandle | None = None


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
        """Start `run()` as a task of this name. No effect if one of this name is supervised already.

        A task that returns is finished. One that raises, or is cancelled other than by `stop`, is restarted.
        """
        if name not in self._tasks:
            policy = RestartPolicy(FIRST_PAUSE_S, LONGEST_PAUSE_S, now=self._now)
            self._tasks[name] = _Supervised(run, policy, vital=vital)
            self._launch(name)

    def is_supervised(self, name: str) -> bool:
        """Return whether a task of this name was started, and has neither returned nor been stopped."""
        return name in self._tasks

    def down_for(self, name: str) -> float:
        """Return for how many seconds a task's restarts have been failing; 0 for a healthy task."""
        supervised = self._tasks.get(name)
        return 0.0 if supervised is None else supervised.policy.failing_for_s()

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

    def _launch(self, name: str) -> None:
        supervised = self._tasks[name]
        supervised.restart = None
        supervised.policy.record_start()
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
        pause_s = supervised.policy.record_failure()
        logger.error("the task %r failed; restarting it in %.1f s", name, pause_s, exc_info=error)
        if supervised.vital and supervised.policy.should_give_up() and not self._gave_up:
            self._gave_up = True
            self.give_up(f"the task {name!r} has kept failing for {supervised.policy.failing_for_s():.0f} s")
        supervised.restart = asyncio.get_running_loop().call_later(pause_s, self._launch, name)
