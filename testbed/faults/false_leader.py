"""A ticker that believes it leads, whoever else does: `ticker.ticker.Ticker` with a lease that nobody gave.

python -m testbed.faults.false_leader TERM
"""

import asyncio
import sys

import django

from ticker.assembly import build_ticker
from ticker.lease import Lease
from ticker.standby import Standby


class FalseLease(Lease):
    """A lease that is always valid, with the term of the command line."""

    async def take(self, heard_term: int) -> bool:  # noqa: ARG002 - the lease's own signature
        """Ask nobody."""
        self.term = int(sys.argv[1])
        return True

    def is_valid(self) -> bool:
        """Say yes."""
        return True

    def is_due(self) -> bool:
        """Say no, for there is nothing to extend."""
        return False


class Deaf(Standby):
    """A standby that hears nobody."""

    def listen(self) -> None:
        """Do not."""


async def main() -> None:
    """Publish until killed."""
    await build_ticker(lease_class=FalseLease, standby_class=Deaf).run()


if __name__ == "__main__":
    django.setup()
    asyncio.run(main())
