"""Daphne's command line, for another server and with other defaults."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from daphne.cli import CommandLineInterface


class Runnable(Protocol):
    """A server."""

    def run(self) -> None:
        """Serve until told to stop. It may raise SystemExit."""


class CommandLineDefaults(NamedTuple):
    """What differs from Daphne's own command line.

    `options` are the defaults of its options, by name. `add_options` adds options that are read elsewhere.
    """

    description: str
    epilog: str
    version: str
    options: Mapping[str, Any]
    add_options: Callable[[ArgumentParser], None]


class _Running:
    """What the command line needs of a server. One that could not start has raised SystemExit itself."""

    abort_start = False

    def __init__(self, server: Runnable) -> None:
        self.run = server.run


def run_command_line(
    make_server: Callable[..., Runnable], defaults: CommandLineDefaults, before_start: Callable[[], None]
) -> None:
    """Read the command line, make a server of it, and run that. All of Daphne's options are accepted.

    `make_server` gets the application, the endpoints and Daphne's options as keyword arguments. `before_start` is
    called before the application is imported, unless the command line ends with `--help`, `--version` or an error.
    """

    class CommandLine(CommandLineInterface):
        def __init__(self) -> None:
            super().__init__()
            self.parser.description = defaults.description
            self.parser.epilog = defaults.epilog
            self.parser.add_argument("--version", action="version", version=defaults.version)
            defaults.add_options(self.parser)
            self.parser.set_defaults(**defaults.options)

        def run(self, args: Any) -> None:
            self.parser.parse_args(args)
            before_start()
            super().run(args)

        @staticmethod
        def server_class(**options: Any) -> _Running:
            return _Running(make_server(**options))

    CommandLine.entrypoint()
