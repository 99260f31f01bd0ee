"""The host's clock: whether NTP or PTP synchronises it.

The broadcast time is that of the host. A daemon for NTP or PTP reports the state of synchronisation to the kernel, and
every program can read it there: adjtimex(2).
"""

import ctypes
import logging
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

# The result of adjtimex(2) if the clock is not synchronised. Every other state is synchronised.
TIME_ERROR: Final = 5

# Bytes: more than a `struct timex` has on any platform. If it is all zeros, adjtimex(2) reads and sets nothing.
TIMEX_SIZE: Final = 512

_LIBRARY: Final = ctypes.CDLL(None)  # the C library, which is already loaded; a lookup would cost more than the call


def ask_kernel() -> bool | None:
    """Return whether the kernel considers its clock synchronised, or None if it does not say.

    It does not say on systems other than Linux, nor in a container that forbids the call.
    """
    try:
        state = _LIBRARY.adjtimex(ctypes.create_string_buffer(TIMEX_SIZE))
    except AttributeError:
        return None
    return None if state < 0 else state != TIME_ERROR


class HostClock:
    """Tracks whether the host's clock is synchronised, and logs each change. A good initial state is not logged.

    `ask` returns whether it is at present, or None if that is unknown.
    """

    def __init__(self, ask: Callable[[], bool | None] = ask_kernel) -> None:
        self.synchronised: bool | None = None  # None: unknown
        self.ask = ask

    def check(self) -> None:
        """Update `synchronised`."""
        previous, self.synchronised = self.synchronised, self.ask()
        if self.synchronised is False and previous is not False:
            logger.warning("this host's clock is not synchronised: the time may be wrong, and the page says so")
        elif self.synchronised and previous is False:
            logger.info("this host's clock is synchronised again")
