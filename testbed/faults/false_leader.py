"""A ticker that always believes to be the leader: the real one, with a lease that nobody granted.

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

    async def acquire(self, received_term: int) -> bool:  # noqa: ARG002 - the lease's own signature
        """Acquire it without asking Redis."""
        self.term = int(sys.argv[1])
        return True

    def is_valid(self) -> bool:
        """Return True."""
        return True

    def is_renewal_due(self) -> bool:
        """Return False, as there is nothing to renew."""
        return False


class DeafStandby(Standby):
    """A standby that never subscribes."""

    def start(self) -> None:
        """Do nothing."""


async def main() -> None:
    """Publish until killed."""
    await build_ticker(lease_class=FalseLease, standby_class=DeafStandby).run()


if __name__ == "__main__":
    django.setup()
    asyncio.run(main())
