import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from typing import Any

from django.core.management.base import BaseCommand

from clock.process.signals import IGNORED_SIGNALS, stop_signals
from ticker.assembly import build_ticker
from ticker.metronome import ImpossibleTime

logger = logging.getLogger("ticker")

# Seconds from a signal to the end. What takes so long is not ours to cancel, such as a thread that waits for DNS.
END_AT_LATEST = 4.0


class Command(BaseCommand):
    """`python manage.py ticker`: publishes the time, or stands by while another one does."""

    requires_system_checks = ()  # they are about pages, which the ticker has none of
    help = "Publish the time to every worker, 100 times a second, or stand by for it, until SIGTERM or Ctrl-C."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until told to stop, then exit with 0; or with 1 if the host's clock shows an impossible time."""
        try:
            asyncio.run(_run())
        except ImpossibleTime as impossible:
            logger.critical("%s", impossible)
            sys.exit(1)


async def _run() -> None:
    stop = asyncio.Event()
    _handle_signals(stop)  # before all else: what has ended the process so far, ends it in good order from here on
    ticker = build_ticker(stop)
    # What Django loaded is here to stay: the collector need not walk it, 20 ms at a time, in the middle of a tick.
    gc.collect()
    gc.freeze()
    await ticker.run()


def _handle_signals(stop: asyncio.Event) -> None:
    """Have the ticker stop on SIGTERM, SIGINT, SIGHUP (unless it is ignored already, as by `nohup`) and SIGQUIT.

    SIGUSR1 and SIGUSR2, which would end it, are ignored: there are no log files to open anew, and no settings to read
    again.
    """

    def end() -> None:
        if not stop.is_set():
            stop.set()
            last_resort = threading.Timer(END_AT_LATEST, _end_at_once)
            last_resort.daemon = True
            last_resort.start()

    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, end)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end_at_once() -> None:
    logger.error("not stopped within %g s of the signal: ending at once", END_AT_LATEST)
    os._exit(1)
