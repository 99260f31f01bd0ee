"""ASGI as the clock uses it: its types, and the two extensions that our own server adds.

`clock` and the server know of each other by this module alone. Where a server offers no extension, as plain Daphne or
Uvicorn, the clock does without.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol

Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Collection[tuple[bytes, bytes]]  # names in lower case

# How a frame is written: returns how many bytes were taken, and raises OSError where none could be. Never waits.
Write = Callable[[bytes], int]

# Takes every frame whole, and that is the end of it.
DISCARD: Final[Write] = len

# The ASGI extension by which a server offers a `Viewer`: `scope["extensions"][DIRECT_WRITE]["viewer"]`.
DIRECT_WRITE: Final = "tournament.direct_write"


class Viewer(Protocol):
    """Who gets frames."""

    def bind_writer(self, set_writer: Callable[["Viewer", Write], None]) -> None:
        """Say `set_writer(self, write)`: now, and whenever frames are to be written by another function."""

    def send_rest(self, rest: bytes) -> None:
        """Send the rest of a frame that was taken in part, before anything else."""

    def fail(self, error: OSError) -> None:
        """Know that the connection is broken."""


# The ASGI extension of an HTTP request that carries it: `scope["extensions"][SERVER_STATUS]["status"]`.
SERVER_STATUS: Final = "tournament.status"

# The close codes that are counted each for itself; a client may send any other, and they are as many as it likes.
# Of RFC 6455, section 7.4.1: normal, going away, none given, no close frame. And the contract's own.
COUNTED_CODES: Final = (1000, 1001, 1005, 1006, 4008, 4012, 4013)


class ServerStatus:
    """Whether the server drains, and what has become of its WebSockets since it started.

    `give_up(reason)` has the server drain and end with a non-zero exit code.
    """

    def __init__(self, give_up: Callable[[str], None] = lambda _reason: None) -> None:
        self.give_up = give_up
        self.draining = False
        self.opened = 0
        self.cut_off = 0  # of those closed: because they did not answer a ping
        self.closed: Counter[int | None] = Counter()  # by code; None stands for all that are not in `COUNTED_CODES`

    def count_close(self, code: int) -> None:
        """Count a WebSocket that was open, and is closed."""
        self.closed[code if code in COUNTED_CODES else None] += 1


def server_status(scope: Any) -> ServerStatus | None:
    """Return what the server of this request tells about itself: None where it offers nothing, as plain Daphne."""
    status: ServerStatus | None = scope.get("extensions", {}).get(SERVER_STATUS, {}).get("status")
    return status
