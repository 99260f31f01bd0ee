"""The limit on open files, and so on connections, of this process."""

import contextlib
import logging
import resource
from typing import Final

logger = logging.getLogger(__name__)

# Open files that macOS allows a process at most, whatever its limits are.
MACOS_OPEN_MAX: Final = 10_240


def raise_open_file_limit() -> None:
    """Raise the soft limit as far as the system allows. Never fails.

    macOS has no hard limit, and refuses a soft one above its own `OPEN_MAX`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in {hard, resource.RLIM_INFINITY}:
        return
    for limit in (hard, max(soft, MACOS_OPEN_MAX)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return
    logger.warning("the limit on open files stays at %d: a higher one was refused", soft)
