"""A ticker that believes it leads, whoever else does: `ticker.ticker.Ticker` with a lease that nobody gave.

python -m tests.faults.impostor TERM
"""

import asyncio
import sys
import time

import django
from channels.layers import get_channel_layer
from django.conf import settings

from clock.comparison import RedisClock
from clock.contract import GROUP
from clock.outage import Backoff, Outage
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import Ticker


class FalseLease(Lease):
    """A lease that is always valid, with the term it is given."""

    def is_valid(self) -> bool:
        """Say yes."""
        return True

    def is_due(self) -> bool:
        """Say no, for there is nothing to extend."""
        return False

    async def take(self, heard_term: int) -> bool:  # noqa: ARG002 - the lease's own signature
        """Ask nobody."""
        return True


class Deaf(Standby):
    """A standby that hears nobody."""

    def listen(self) -> None:
        """Do not."""


async def main(term: int) -> None:
    """Publish until killed."""
    layer = get_channel_layer()
    lease = FalseLease(lambda: layer.connect(GROUP), settings.CLOCK_NAMESPACE)
    lease.term = term
    redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: time.time() * 1_000)
    publisher = Publisher(layer, settings.CLOCK_TIME_ZONE, Outage(Backoff(0.05)), redis_clock, HostClock())
    await Ticker(Metronome(), publisher, lease, Deaf(layer, 250)).run()


if __name__ == "__main__":
    django.setup()
    asyncio.run(main(int(sys.argv[1])))
