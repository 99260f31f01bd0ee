import asyncio
import gc
import signal
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management.base import BaseCommand

from ticker.metronome import Metronome
from ticker.ticker import Ticker


class Command(BaseCommand):
    """`python manage.py ticker`: the one process that publishes the time."""

    requires_system_checks = ()  # they are about pages, which the ticker has none of
    help = "Publish the time to every worker, 100 times a second, until SIGTERM or Ctrl-C."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until told to stop; then exit with 0."""
        asyncio.run(_run())


async def _run() -> None:
    ticker = Ticker(Metronome(), get_channel_layer(), settings.CLOCK_TIME_ZONE)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ticker.stop)
    # What Django loaded is here to stay: the collector need not walk it, 20 ms at a time, in the middle of a tick.
    gc.collect()
    gc.freeze()
    await ticker.run()
