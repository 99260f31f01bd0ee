import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand

from clock import __version__
from clock.process.lifetime import this_process
from clock.process.signals import IGNORED_SIGNALS, stop_signals
from ticker.assembly import PortUnavailable, build_ticker
from ticker.metronome import TimeOutOfRange

logger = logging.getLogger("ticker")

# The process ends at the latest this long after a signal. Whatever takes longer cannot be cancelled, such as a thread
# that waits for DNS.
EXIT_TIMEOUT_S: Final = 4.0


class Command(BaseCommand):
    """`python manage.py ticker`: publishes the time as the leader, or waits as a standby."""

    requires_system_checks = ()  # they are about pages, and the ticker has none
    help = "Publish the time to every worker, 100 times a second, or wait as a standby, until SIGTERM or Ctrl-C."

    def get_version(self) -> str:
        """Return what `--version` prints."""
        return f"clock {__version__}"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until stopped. Exit with 0, or with 1 if the host's clock is out of range or a port is unavailable."""
        this_process.begin(logger, "ticker", settings.CLOCK_CHANGED_SETTINGS)
        try:
            asyncio.run(_run())
        except (TimeOutOfRange, PortUnavailable) as error:
            this_process.because(str(error), is_failure=True)
            sys.exit(1)


async def _run() -> None:
    stopping = asyncio.Event()
    _handle_signals(stopping)  # first: until now a signal has ended the process, from now on it stops gracefully
    ticker = build_ticker(stopping)
    # Exclude what Django has loaded from garbage collection. To walk it takes 20 ms, in the middle of a tick.
    gc.collect()
    gc.freeze()
    await ticker.run()


def _handle_signals(stopping: asyncio.Event) -> None:
    """Stop the ticker on SIGTERM, SIGINT, SIGQUIT and SIGHUP (unless that is ignored already, as by `nohup`).

    SIGUSR1 and SIGUSR2, which would end the process by default, are ignored: there are no log files to reopen and no
    settings to reload.
    """

    def stop(number: signal.Signals) -> None:
        if not stopping.is_set():
            this_process.because(f"stopped by {number.name}")
            stopping.set()
            timer = threading.Timer(EXIT_TIMEOUT_S, _exit)
            timer.daemon = True
            timer.start()

    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _exit() -> None:
    logger.error("not stopped %g s after the signal: exiting now", EXIT_TIMEOUT_S)
    this_process.end()
    os._exit(1)
