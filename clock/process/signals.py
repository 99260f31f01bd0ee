"""Signals during startup: a process that is stopped before it can shut down gracefully exits at once.

Without a handler SIGTERM ends most processes, but not process 1, as in a container without an init: the kernel drops a
signal that such a process has no handler for. And uvloop loses a signal that arrives between `add_signal_handler` and
the start of the loop. So this handler is installed before anything slow is imported, and stays until the loop runs and
its own handlers are installed.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any, Final

# What shuts a process down gracefully. SIGHUP is what a terminal sends when it closes.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# Of these, the ones that hurry: Ctrl-C and Ctrl-\\ on a terminal.
HURRY_SIGNALS: Final = (signal.SIGINT, signal.SIGQUIT)

# What a process ignores: logs are not files that could be reopened, and settings are not read again.
IGNORED_SIGNALS: Final = (signal.SIGUSR1, signal.SIGUSR2)


# What is called with the reason before a process exits on a signal during its start.
before_exit: Final[list[Callable[[str], None]]] = []


def exit_on_signals() -> None:
    """Exit at once, with exit code 0, on a signal that stops; until other handlers are installed.

    A SIGHUP that is ignored already, as by `nohup`, stays ignored.
    """
    for number in stop_signals():
        signal.signal(number, _exit)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop this process."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


def _exit(number: int, _frame: Any) -> None:
    with contextlib.suppress(Exception):  # whatever the signal has interrupted, the process exits
        for call in before_exit:
            call(f"stopped by {signal.Signals(number).name} during its start")
    # Not SystemExit, which Twisted would catch and log: nothing has been started that would have to be stopped.
    os._exit(0)
