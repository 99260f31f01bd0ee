"""The command line of several workers on one port, and the supervisor's process.

    python -m tournament.server --processes 2 -p 8001 tournament.asgi:application

The supervisor needs neither Django nor Twisted. All options but those of where to listen are for the workers.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Final, NamedTuple

from clock.process.lifetime import this_process
from clock.process.log_format import log_formatter
from clock.process.signals import HURRY_SIGNALS, stop_signals
from tournament.configuration.setting import changes, read
from tournament.configuration.table import CLOCK_LOG_FORMAT, CLOCK_LOG_LEVEL, CLOCK_METRICS_PORT, SETTINGS
from tournament.processes.balance import CHECK_INTERVAL_S
from tournament.processes.child import start_worker
from tournament.processes.dispatcher import Dispatcher
from tournament.processes.listening import DEFAULT_HOST, CannotListen, Listeners, describe, listen_on
from tournament.processes.supervisor import Supervisor

# Workers on one port, at most. A host with more cores runs more supervisors.
MAX_PROCESSES: Final = 256

logger = logging.getLogger(__name__)


class Mode(NamedTuple):
    """How this process was started: for so many workers, or as one of them, with the descriptor of its link."""

    processes: int
    link: int | None
    arguments: list[str]  # the others

    @property
    def is_supervisor(self) -> bool:
        """Whether this process supervises others. Help and version are for the worker itself."""
        return self.processes > 1 and not {"-h", "--help", "--version"} & {*self.arguments}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this module to a parser."""
    parser.add_argument(
        "--processes",
        type=_number_of_processes,
        default=1,
        help="How many workers to run on the same port, each in a process of its own",
    )
    # The descriptor of a link to a supervisor, which alone uses this.
    parser.add_argument("--connections-from", type=int, default=None, help=argparse.SUPPRESS)


def read_mode(arguments: Sequence[str]) -> Mode:
    """Return how this process was started.

    Raises:
        SystemExit: with 2, if an option is invalid.
    """
    parser = argparse.ArgumentParser(prog="tournament.server", add_help=False)
    add_options(parser)
    options, others = parser.parse_known_args(arguments)
    return Mode(options.processes, options.connections_from, others)


def _number_of_processes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and {MAX_PROCESSES}")
    return number


def run(mode: Mode) -> int:
    """Run a supervisor until its workers have ended, and return the exit code.

    Raises:
        SystemExit: with 2, if an option is invalid; with 1, if a setting is.
    """
    options = _listening_options(mode.arguments)
    _configure_log()
    this_process.begin(logger, f"supervisor of {mode.processes} workers", changes(SETTINGS))
    metrics_port = read(CLOCK_METRICS_PORT)
    try:
        with closing(Listeners(options)) as listeners:
            if metrics_port:
                _check_metrics_ports(options.host or DEFAULT_HOST, metrics_port, mode.processes)
            return asyncio.run(_supervise(mode, metrics_port, listeners))
    except CannotListen as error:
        this_process.because(str(error), is_failure=True)
        return 1


def _configure_log() -> None:
    """Log as tournament/settings.py says, which needs Django."""
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(read(CLOCK_LOG_FORMAT)))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("tournament").setLevel(read(CLOCK_LOG_LEVEL))


def _listening_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of Daphne's command line that say where to listen."""
    parser = argparse.ArgumentParser(prog="tournament.server", add_help=False)
    parser.add_argument("-p", "--port", type=int)
    parser.add_argument("-b", "--bind", dest="host")
    parser.add_argument("-u", "--unix-socket")
    parser.add_argument("--fd", dest="file_descriptor", type=int)
    parser.add_argument("-e", "--endpoint", action="append")
    options, _ = parser.parse_known_args(arguments)
    if options.endpoint:
        parser.error("argument -e/--endpoint: not with --processes: use -b and -p, -u or --fd, and a proxy for TLS")
    return options


def _check_metrics_ports(host: str, first: int, count: int) -> None:
    """Check that the metrics ports are free. Each worker opens its own, and waits if a predecessor still has it.

    Raises:
        CannotListen: one is in use, or not a port.
    """
    for port in range(first, first + count):
        try:
            listen_on(host, port).close()
        except CannotListen as error:
            raise CannotListen(f"CLOCK_METRICS_PORT={first} is unavailable for {count} workers: {error}") from None


async def _supervise(mode: Mode, metrics_port: int, listeners: Listeners) -> int:
    supervisor = Supervisor(
        mode.processes, partial(start_worker, mode.arguments, metrics_port), partial(Dispatcher, listeners)
    )
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        this_process.because(f"stopped by {number.name}")
        supervisor.stop(f"stopping on {number.name}", in_a_hurry=number in HURRY_SIGNALS)

    for number in stop_signals():
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGUSR1, supervisor.replace_all)
    for listener in listeners.sockets:
        logger.info("listening on %s", describe(listener))
    while not supervisor.is_over:
        supervisor.check()
        await asyncio.sleep(CHECK_INTERVAL_S)
    for number in stop_signals():
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)  # it has stopped: one more signal must not change the exit code
    return supervisor.exit_code
