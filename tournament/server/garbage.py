"""The garbage collector, kept from scanning a crowd while a tick waits.

Python's collector scans all objects now and then. With 9,000 viewers that takes a quarter of a second. So a few times a
second this collects what is new, and excludes what survives from further scans. A connection and all that belongs to it
are freed without the collector. Garbage that needs it, and was excluded before it became garbage, is collected when the
worker has become much smaller, and a scan is short.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

# Seconds between two collections: few while a crowd arrives. A second of that would make new objects for 30 ms.
INTERVAL_S: Final = 1.0
STORM_INTERVAL_S: Final = 0.25

# So many more connections than at the last collection are a storm.
STORM: Final = 50

# Everything is scanned when so many times as many objects were excluded as there are now.
SHRINKAGE: Final = 2


class Garbage:
    """Collects garbage regularly. `population` says how many connections there are."""

    def __init__(self, population: Callable[[], int]) -> None:
        self._population = population
        self._highest = 0  # population since everything was scanned
        self._last = 0  # population at the last collection

    async def run(self) -> None:
        """Collect regularly, until cancelled. The first time takes 50 ms: at once, before anybody is connected."""
        elapsed_s = INTERVAL_S
        while True:
            if elapsed_s >= INTERVAL_S or self._population() - self._last >= STORM:
                self.collect()
                elapsed_s = 0.0
            await asyncio.sleep(STORM_INTERVAL_S)
            elapsed_s += STORM_INTERVAL_S

    def collect(self) -> None:
        """Collect what is new; or everything, if the crowd has left."""
        population = self._last = self._population()
        if population * SHRINKAGE < self._highest:
            gc.unfreeze()
            self._highest = 0
        self._highest = max(self._highest, population)
        gc.collect()
        gc.freeze()
