"""Daphne's command line, for another server and with other defaults."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from daphne.cli import CommandLineInterface


class Runnable(Protocol):
    """A server."""

    def run(self) -> None:
        """Serve until told to stop. It may raise SystemExit."""


class _Running:
    """What the command line needs of a server. One that could not start has raised SystemExit itself."""

    abort_start = False

    def __init__(self, server: Runnable) -> None:
        self.run = server.run


def run_command_line(
    make_server: Callable[..., Runnable], *, description: str, epilog: str, defaults: Mapping[str, Any]
) -> None:
    """Read the command line, make a server of it, and run that. All of Daphne's options are accepted.

    `make_server` gets the application, the endpoints and Daphne's options as keyword arguments.
    """

    class CommandLine(CommandLineInterface):
        def __init__(self) -> None:
            super().__init__()
            self.parser.description = description
            self.parser.epilog = epilog
            self.parser.set_defaults(**defaults)

        @staticmethod
        def server_class(**options: Any) -> _Running:
            return _Running(make_server(**options))

    CommandLine.entrypoint()
