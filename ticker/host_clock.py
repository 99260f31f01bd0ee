"""The host's own clock: whether anything keeps it right.

The clock that is broadcast is the host's. What a daemon for NTP or PTP knows of that it tells the kernel, and the
kernel tells everybody who asks: adjtimex(2).
"""

import ctypes
import logging
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

# What adjtimex(2) answers where the clock is not synchronised; any other state of it is.
TIME_ERROR: Final = 5

# Bytes: more than a `struct timex` has anywhere. One of zeros asks, and sets nothing.
TIMEX_SIZE: Final = 512

_LIBRARY: Final = ctypes.CDLL(None)  # the C library, loaded already; to look it up costs more than to ask


def ask_kernel() -> bool | None:
    """Return whether the kernel holds its clock to be synchronised; None where it does not say.

    It does not on other systems than Linux, nor in a container that forbids the question.
    """
    try:
        state = _LIBRARY.adjtimex(ctypes.create_string_buffer(TIMEX_SIZE))
    except AttributeError:
        return None
    return None if state < 0 else state != TIME_ERROR


class HostClock:
    """Looks at the host's clock, and logs once when it is found to be left alone, and once when it no longer is."""

    def __init__(self, ask: Callable[[], bool | None] = ask_kernel) -> None:
        self.synchronised: bool | None = None  # None: not known
        self._ask = ask

    def look(self) -> None:
        """Ask anew."""
        before, self.synchronised = self.synchronised, self._ask()
        if self.synchronised is False and before is not False:
            logger.warning("this host's clock is not synchronised: the time may be wrong, and the page says so")
        elif self.synchronised and before is False:
            logger.info("this host's clock is synchronised")
