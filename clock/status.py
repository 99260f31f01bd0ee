"""What a server tells the clock about itself, where it offers that."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

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
