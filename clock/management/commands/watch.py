import asyncio
import gc
import os
import signal
import ssl
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from clock import __version__
from clock.process.signals import stop_signals
from clock.watch.display.exporter import Exporter
from clock.watch.display.lines import Json, Lines
from clock.watch.display.screen import Screen
from clock.watch.limits import Limits, duration_ms, frames_per_second
from clock.watch.session import Display, Plan, Session
from clock.watch.summary import Summary
from clock.watch.target import RATE_TEXTS, InvalidAddress, parse_target

DEFAULT_URL: Final = "http://127.0.0.1:8001"
MAX_VIEWERS: Final = 10_000
MAX_PORT: Final = 65_535

# Threads wait for the interpreter for at most so long. While the screen is drawn, frames must not wait for 5 ms.
SWITCH_INTERVAL_S: Final = 0.0005

# The process ends at the latest this long after the summary. A thread that waits for DNS cannot be cancelled.
EXIT_TIMEOUT_S: Final = 1.0

INVALID_COMMAND_LINE: Final = 2
READER_ENDED: Final = 128 + signal.SIGPIPE  # as of a program that does not ignore the signal


class Command(BaseCommand):
    """`python manage.py watch`: shows the clock in a terminal, or checks that its stream meets limits."""

    requires_system_checks = ()  # they are about pages
    help = (
        "Show a clock in the terminal: its time, rate, lateness, gaps and error bound. With --for and --json it is a "
        "probe, whose exit code says whether the stream meets the limits. It does not need Redis."
    )

    def get_version(self) -> str:
        """Return what `--version` prints."""
        return f"clock {__version__}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "url",
            nargs="?",
            default=DEFAULT_URL,
            help="an origin, the address of a page, or of a stream (ws:// or wss://); default: %(default)s",
        )
        parser.add_argument(
            "--for",
            dest="duration",
            type=duration_ms,
            metavar="DURATION",
            help="end after so long, counted from when all viewers have frames: 10s, 500ms, 2m or 1h",
        )
        parser.add_argument("--json", action="store_true", help="print one line at the end, a report in JSON")
        parser.add_argument("--viewers", type=_viewers, default=1, metavar="N", help="open N streams; default: 1")
        parser.add_argument(
            "--rate", choices=RATE_TEXTS, help="frames per second to request; default: as in the URL, or 100"
        )
        parser.add_argument("--origin", help="the Origin to send; default: that of the clock's own page")
        parser.add_argument("--ca-file", metavar="FILE", help="verify the TLS certificate by these authorities (PEM)")
        parser.add_argument(
            "--metrics-port",
            type=_port,
            metavar="PORT",
            help="serve what is measured to Prometheus on this port, and keep trying if there is no stream",
        )
        parser.add_argument(
            "--metrics-address", default="127.0.0.1", metavar="ADDRESS", help="of that port; default: %(default)s"
        )
        limits = parser.add_argument_group("limits")
        limits.add_argument(
            "--min-rate",
            type=frames_per_second,
            metavar="HZ",
            help="the lowest frames per second of each viewer: 95",
        )
        limits.add_argument(
            "--max-gap", type=duration_ms, metavar="DURATION", help="the longest time without a frame: 250ms"
        )
        limits.add_argument(
            "--max-lateness",
            type=duration_ms,
            metavar="DURATION",
            help="how late 99 %% of the frames of each viewer may be, on the ticker's timeline: 50ms",
        )
        limits.add_argument(
            "--max-bound",
            type=duration_ms,
            metavar="DURATION",
            help="the highest error bound, both of a worker's answers and of the time at this machine: 20ms",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Watch; exit with the code of the summary."""
        plan = _plan(options)
        if options["json"]:
            display: Display = Json(sys.stdout)
        elif sys.stdout.isatty():
            display = Screen(Console())
        else:
            display = Lines(sys.stdout)
        if plan.keeps_trying:
            display = _exporter(display, options["metrics_address"], options["metrics_port"])
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()  # to walk what Django has loaded takes 20 ms, in which frames wait
        try:
            sys.exit(asyncio.run(_run(plan, display)))
        except BrokenPipeError:  # such as `head`: it has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end
            sys.exit(READER_ENDED)


async def _run(plan: Plan, display: Display) -> int:
    """Return the exit code."""
    stopping = asyncio.Event()
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    summary = await Session(plan, display).run(stopping)
    if summary.failure is not None:
        sys.stderr.write(f"watch: {summary.failure}\n")
        sys.stderr.flush()
    _exit_soon(summary)
    return summary.exit_code


def _exit_soon(summary: Summary) -> None:
    timer = threading.Timer(EXIT_TIMEOUT_S, os._exit, (summary.exit_code,))
    timer.daemon = True
    timer.start()


def _plan(options: dict[str, Any]) -> Plan:
    try:
        target = parse_target(options["url"], options["rate"])
        tls = ssl.create_default_context(cafile=options["ca_file"]) if target.is_secure else None
    except InvalidAddress as error:
        raise CommandError(str(error), returncode=INVALID_COMMAND_LINE) from error
    except (OSError, ssl.SSLError) as error:
        text = f"--ca-file {options['ca_file']} cannot be used: {error}"
        raise CommandError(text, returncode=INVALID_COMMAND_LINE) from error
    return Plan(
        target=target,
        origin=options["origin"] or target.origin,
        tls=tls,
        viewers=options["viewers"],
        duration_s=None if options["duration"] is None else options["duration"] / 1_000,
        limits=Limits(
            min_rate=options["min_rate"],
            max_gap=options["max_gap"],
            max_lateness=options["max_lateness"],
            max_bound=options["max_bound"],
        ),
        keeps_trying=options["metrics_port"] is not None,
    )


def _exporter(display: Display, address: str, port: int) -> Display:
    try:
        return Exporter(display, address, port)
    except OSError as error:
        text = f"--metrics-port {port} cannot be opened: {error}"
        raise CommandError(text, returncode=INVALID_COMMAND_LINE) from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_PORT:
        raise ArgumentTypeError(f"{text!r} is not a port, from 1 to {MAX_PORT}")
    return int(text)


def _viewers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_VIEWERS:
        raise ArgumentTypeError(f"{text!r} is not a number of viewers, from 1 to {MAX_VIEWERS}")
    return int(text)
