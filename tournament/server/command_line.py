"""The worker's command line: Daphne's, with all of its options and the defaults of a clock."""

import logging
import socket
from functools import partial
from typing import Final

import django
from django.conf import settings

from clock import __version__
from clock.process.lifetime import this_process
from tournament.processes.command_line import add_options
from tournament.server.adapter.command_line import CommandLineDefaults, run_command_line
from tournament.server.server import Server

# Seconds between two pings to a client, and until it must have answered.
PING_INTERVAL_S: Final = 6
PING_TIMEOUT_S: Final = 6

logger = logging.getLogger(__name__)

DEFAULTS: Final = CommandLineDefaults(
    description="The clock's web worker: Daphne for large crowds",
    epilog=(
        "Clients of the clock must not send messages, so here --websocket-max-message-size 0, the default, means that "
        "no messages are accepted."
    ),
    version=f"clock {__version__}",
    options={
        "verbosity": 0,  # log nothing per connection; `-v 1` brings Daphne's access log back
        "websocket_timeout": -1,  # none: a clock hangs on its wall for weeks
        "websocket_max_message_size": 0,
        "ping_interval": PING_INTERVAL_S,
        "ping_timeout": PING_TIMEOUT_S,
        "server_name": "",  # nobody needs to know, and each of the page's files would carry it
    },
    add_options=add_options,
)


def main(link: int | None = None) -> None:
    """Run a worker. `link` is the descriptor of its link to a supervisor, if it has one."""
    make_server = Server if link is None else partial(Server, link=socket.socket(fileno=link))
    run_command_line(make_server, DEFAULTS, _begin)


def _begin() -> None:
    """Log the first line: before the application is imported, which may log that it builds the static files."""
    django.setup()
    this_process.begin(logger, "worker", settings.CLOCK_CHANGED_SETTINGS)
