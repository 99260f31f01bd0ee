import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management.base import BaseCommand

from clock.comparison import RedisClock
from clock.contract import GROUP
from clock.outage import Backoff, Outage
from clock.tasks import Supervisor
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metronome import ImpossibleTime, Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import Ticker
from tournament.signals import IGNORED_SIGNALS, stop_signals

logger = logging.getLogger("ticker")

# Seconds between two attempts to reach Redis, at most.
LONGEST_PAUSE = 0.25

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
    layer = get_channel_layer()
    supervisor = Supervisor()
    lease = Lease(lambda: layer.connect(GROUP), settings.CLOCK_NAMESPACE)
    standby = Standby(layer, settings.CLOCK_MAX_STANDBY_OFFSET, supervisor=supervisor)
    redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: time.time() * 1_000)
    outage = Outage(Backoff(0.05, LONGEST_PAUSE))
    publisher = Publisher(layer, settings.CLOCK_TIME_ZONE, outage, redis_clock, HostClock())
    ticker = Ticker(Metronome(), publisher, lease, standby, stop)
    # What Django loaded is here to stay: the collector need not walk it, 20 ms at a time, in the middle of a tick.
    gc.collect()
    gc.freeze()
    supervisor.start("comparison", redis_clock.run)
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
