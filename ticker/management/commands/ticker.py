import asyncio
import gc
import signal
import time
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management.base import BaseCommand

from clock.comparison import RedisClock
from clock.contract import GROUP
from clock.outage import Backoff, Outage
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import Ticker

# Seconds between two attempts to reach Redis, at most.
LONGEST_PAUSE = 0.25


class Command(BaseCommand):
    """`python manage.py ticker`: publishes the time, or stands by while another one does."""

    requires_system_checks = ()  # they are about pages, which the ticker has none of
    help = "Publish the time to every worker, 100 times a second, or stand by for it, until SIGTERM or Ctrl-C."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until told to stop; then exit with 0."""
        asyncio.run(_run())


async def _run() -> None:
    layer = get_channel_layer()
    lease = Lease(lambda: layer.connect(GROUP), settings.CLOCK_NAMESPACE)
    standby = Standby(layer, settings.CLOCK_MAX_STANDBY_OFFSET)
    redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: time.time() * 1_000)
    outage = Outage(Backoff(0.05, LONGEST_PAUSE))
    publisher = Publisher(layer, settings.CLOCK_TIME_ZONE, outage, redis_clock, HostClock())
    ticker = Ticker(Metronome(), publisher, lease, standby)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ticker.stop)
    # What Django loaded is here to stay: the collector need not walk it, 20 ms at a time, in the middle of a tick.
    gc.collect()
    gc.freeze()
    comparing = loop.create_task(redis_clock.run(), name="comparison")
    await ticker.run()
    comparing.cancel()
