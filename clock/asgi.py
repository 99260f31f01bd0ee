"""ASGI as the clock uses it: its types, and the three extensions that our own server adds.

This module is all that `clock` and the server share. Under a server without the extensions, such as plain Daphne or
Uvicorn, the clock works without them.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Collection[tuple[bytes, bytes]]  # names in lower case

# Writes a frame: returns how many bytes were accepted, and raises OSError if none were. Never waits.
Write = Callable[[bytes], int]

# Accepts every frame, and drops it.
DISCARD: Final[Write] = len

# The ASGI extension by which a server offers a `Viewer`: `scope["extensions"][DIRECT_WRITE]["viewer"]`.
DIRECT_WRITE: Final = "tournament.direct_write"


class Viewer(Protocol):
    """A client that receives frames."""

    def bind_writer(self, set_writer: Callable[["Viewer", Write], None]) -> None:
        """Call `set_writer(self, write)`: now, and whenever frames must be written with another function."""

    def send_rest(self, rest: bytes) -> None:
        """Send the rest of a frame that was accepted in part, before anything else."""

    def fail(self, error: OSError) -> None:
        """Handle that the connection is broken."""


# The ASGI extension of an HTTP request by which a server offers a `ServerStatus`:
# `scope["extensions"][SERVER_STATUS]["status"]`.
SERVER_STATUS: Final = "tournament.status"

# The close codes that are counted one by one: clients may send any other, and so any number of them. They are normal,
# going away, no code and no close frame, of RFC 6455, section 7.4.1, and the contract's own.
COUNTED_CODES: Final = (1000, 1001, 1005, 1006, 4008, 4012, 4013)


class ServerStatus:
    """Whether the server drains, and counts of its WebSockets since it started.

    `give_up(reason)` makes the server drain and exit with a non-zero exit code.
    """

    def __init__(self, give_up: Callable[[str], None] = lambda _reason: None) -> None:
        self.give_up = give_up
        self.draining = False
        self.opened = 0
        self.timed_out = 0  # of those closed: because the client did not answer a ping
        self.closed: Counter[int | None] = Counter()  # by code; None is for all that are not in `COUNTED_CODES`

    def count_close(self, code: int) -> None:
        """Count a WebSocket that was open, and is closed."""
        self.closed[code if code in COUNTED_CODES else None] += 1


# The ASGI extension of an HTTP request by which a server offers to answer its repetitions without the application:
# `scope["extensions"][REPEATED_REQUEST]["answer_with"](answer)`, before the response is complete. From then on, whoever
# sends the same bytes gets what `answer` returns. So that must not depend on anything but the request and the present.
REPEATED_REQUEST: Final = "tournament.repeated_request"


class Response(NamedTuple):
    """A complete response to an HTTP request."""

    status: HTTPStatus
    headers: Headers
    body: bytes


Answer = Callable[[], Response]


def server_status(scope: Any) -> ServerStatus | None:
    """Return the status of the server of this request; None under a server without one, such as plain Daphne."""
    status: ServerStatus | None = scope.get("extensions", {}).get(SERVER_STATUS, {}).get("status")
    return status
