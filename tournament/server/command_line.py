"""The worker's command line: Daphne's, with all of its options and the defaults of a clock."""

import logging
from typing import Any, Final

import django
from daphne.cli import CommandLineInterface

from clock import __version__
from tournament.server.server import Server

# Seconds between two pings to a client, and until it must have answered.
PING_INTERVAL: Final = 6
PING_TIMEOUT: Final = 6

logger = logging.getLogger(__name__)


class CommandLine(CommandLineInterface):
    """Daphne's command line, with the defaults of a clock. All of its options are there."""

    description = "The clock's web worker: Daphne, with a relay that starts with it"
    server_class = Server

    def __init__(self) -> None:
        super().__init__()
        self.parser.add_argument("--version", action="version", version=f"clock {__version__}")
        self.parser.set_defaults(
            verbosity=0,  # nothing is logged per connection; `-v 1` brings Daphne's access log back
            websocket_timeout=-1,  # a clock hangs on its wall for weeks
            websocket_max_message_size=0,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            server_name="",  # nobody needs to know, and each of the page's files would say it
        )
        self.parser.epilog = (
            "A client of the clock sends nothing, so here --websocket-max-message-size 0, the default, means that no "
            "messages are taken at all."
        )

    def run(self, args: Any) -> None:
        """Run the worker; its first log line is the version."""
        self.parser.parse_args(args)  # --help and --version end here, before any setting is read
        django.setup()
        logger.info("clock %s: worker starting", __version__)
        super().run(args)
