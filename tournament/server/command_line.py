"""The worker's command line: Daphne's, with all of its options and the defaults of a clock."""

from typing import Any, Final

from tournament.server.adapter.command_line import run_command_line
from tournament.server.server import Server

# Seconds between two pings to a client, and until it must have answered.
PING_INTERVAL_S: Final = 6
PING_TIMEOUT_S: Final = 6

DEFAULTS: Final[dict[str, Any]] = {
    "verbosity": 0,  # log nothing per connection; `-v 1` brings Daphne's access log back
    "websocket_timeout": -1,  # none: a clock hangs on its wall for weeks
    "websocket_max_message_size": 0,
    "ping_interval": PING_INTERVAL_S,
    "ping_timeout": PING_TIMEOUT_S,
    "server_name": "",  # nobody needs to know, and each of the page's files would carry it
}


def main() -> None:
    """Run a worker."""
    run_command_line(
        Server,
        description="The clock's web worker: Daphne, with a relay that starts with it",
        epilog=(
            "Clients of the clock must not send messages, so here --websocket-max-message-size 0, the default, means "
            "that no messages are accepted."
        ),
        defaults=DEFAULTS,
    )
