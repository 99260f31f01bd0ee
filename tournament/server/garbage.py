"""The garbage collector, kept from scanning a crowd while a tick waits.

Python's collector scans all objects now and then. With 9,000 viewers that takes a quarter of a second. Here it scans
what is new, which takes a millisecond, and all that connections have created only when there is much more than they
need. A connection and all that belongs to it are freed without the collector. Only Django leaves reference cycles, with
each page that it renders and each error.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 1.0

# What a viewer has at most, in blocks of memory as Python counts them; with the other connection of its page. Measured:
# 110 and 35.
BLOCKS_PER_VIEWER: Final = 160

# So much garbage may wait, in blocks: about 10 MiB.
MAX_GARBAGE_BLOCKS: Final = 100_000

# `gc.set_threshold`: the first two are Python's own. Old objects are not scanned unless `Garbage` says so.
THRESHOLDS: Final = (700, 10, 1_000_000_000)


class Garbage:
    """Collects garbage among old objects when there is much of it. `viewers` returns how many viewers there are."""

    def __init__(self, viewers: Callable[[], int], *, blocks: Callable[[], int] = sys.getallocatedblocks) -> None:
        self._viewers = viewers
        self._blocks = blocks
        self._last = (0, 0)  # viewers and blocks without garbage: at the last collection, or when there was less

    async def run(self) -> None:
        """Collect when necessary, until cancelled. Start it before anybody is connected: it takes 50 ms at first."""
        self.start()
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.check()

    def start(self) -> None:
        """Exclude what exists already, modules and classes, from every later scan."""
        gc.set_threshold(*THRESHOLDS)
        self._collect()
        gc.freeze()

    def check(self) -> None:
        """Collect all garbage, if there is much more in memory than so many viewers need."""
        viewers, blocks = self._viewers(), self._blocks()
        last_viewers, last_blocks = self._last
        if blocks < last_blocks:
            self._last = viewers, blocks
        elif blocks - last_blocks - max(viewers - last_viewers, 0) * BLOCKS_PER_VIEWER > MAX_GARBAGE_BLOCKS:
            self._collect()

    def _collect(self) -> None:
        gc.collect()
        self._last = self._viewers(), self._blocks()
