"""The web worker: Daphne, made fit for a crowd that stays.

Beyond Daphne's own it offers each connection a quicker way to send (see `Server.create_application`), starts and stops
the application by ASGI's lifespan protocol, takes thousands of connections at once, and cuts off clients that have
stopped reading.
"""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import sys
from functools import partial
from typing import Any, Final

from django.conf import settings
from twisted.internet import defer, reactor
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogPublisher,
)
from twisted.web.http import _GenericHTTPChannelProtocol

from clock.asgi import DIRECT_WRITE, SERVER_STATUS, ServerStatus
from clock.process.signals import stop_signals
from tournament.server.connection import Connection
from tournament.server.drain import Drain
from tournament.server.heartbeat import Heartbeat
from tournament.server.http_connection import HttpConnection
from tournament.server.inbox import Inbox
from tournament.server.metrics_port import MetricsPort
from tournament.server.steady import SteadyServer

logger = logging.getLogger(__name__)

# Connections that the kernel holds until the worker takes them. Twisted's own is 50, which a crowd that comes back at
# once overruns; the kernel cuts it to net.core.somaxconn.
BACKLOG: Final = 4096

# What hurries a drain: Ctrl-C and Ctrl-\\ on a terminal.
HURRY_SIGNALS: Final = (signal.SIGINT, signal.SIGQUIT)

# How often a drain that fails is tried; after that the worker stops without.
DRAIN_ATTEMPTS: Final = 3

# Open files that macOS lets a process have at most, whatever its limits say.
OPEN_MAX: Final = 10_240


class Server(SteadyServer):
    """Daphne's server, with a lifespan, a heartbeat, a drain and a direct way to write."""

    def __init__(self, application: Any, endpoints: list[str], **options: Any) -> None:
        endpoints = [with_backlog(endpoint) for endpoint in endpoints]
        super().__init__(application, endpoints, signal_handlers=False, **options)
        self._ports: list[Any] = []
        self._drain = Drain(self, settings.CLOCK_DRAIN_NOTICE, settings.CLOCK_DRAIN_SPREAD)
        self._drain_attempts = 0
        self._has_failed = False
        self.status = ServerStatus(self.give_up)
        self.supervisor.give_up = self.give_up
        self._metrics_port = MetricsPort(settings.CLOCK_METRICS_PORT, endpoints, self.status)
        self._lifespan_messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None
        self.heartbeat = Heartbeat(self.ping_interval, self.ping_timeout)

    def run(self) -> None:
        """Serve until told to stop."""
        raise_open_file_limit()
        self._metrics_port.listen()
        reactor.callWhenRunning(self._start)
        reactor.addSystemEventTrigger("before", "shutdown", self._end)
        super().run()
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)  # it has stopped; one more signal is not to change the exit code
        if self._has_failed:
            sys.exit(1)

    def _start(self) -> None:
        self.http_factory.protocol = make_http_connection
        self.ws_factory.protocol = Connection.with_options_of(
            self.ws_factory, max_control_frames=settings.CLOCK_MAX_CONTROL_FRAMES
        )
        log_twisted_errors()
        loop = asyncio.get_event_loop()
        loop.call_soon(self._take_signals)  # not yet: uvloop loses those that come before it runs
        if self.ping_interval > 0:
            loop.call_soon(partial(self.supervisor.start, "heartbeat", self.heartbeat.run, vital=True))
        self._lifespan = loop.create_task(self._live(), name="lifespan")
        self._lifespan_messages.put_nowait({"type": "lifespan.startup"})
        # What is loaded by now is here to stay: the collector need not walk it while a tick waits.
        gc.collect()
        gc.freeze()

    # --- Stopping ---

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._stop_on, number)

    def _stop_on(self, number: signal.Signals) -> None:
        """Drain, and then stop. SIGINT and SIGQUIT, from a terminal, hurry; and so does a second signal."""
        if number in HURRY_SIGNALS or self.status.draining:
            self._drain.hurry()
        self._begin_drain("told to stop: draining")

    def give_up(self, reason: str) -> None:
        """Drain, stop and exit with 1: a task without which this worker is useless keeps failing."""
        logger.critical("%s: ending this worker", reason)
        self._has_failed = True
        self._begin_drain("draining")

    def _begin_drain(self, words: str) -> None:
        if not self.status.draining:
            logger.info(words)
            self.status.draining = True
            self.supervisor.start("drain", self._drain_and_stop)

    async def _drain_and_stop(self) -> None:
        self._drain_attempts += 1
        if self._drain_attempts > 1:
            self._drain.hurry()
        if self._drain_attempts <= DRAIN_ATTEMPTS:
            await self._drain.run()
        self.stop()

    def stop_listening(self) -> None:
        """Take no more connections."""
        for port in self._ports:
            port.stopListening()

    def viewers(self) -> list[Connection]:
        """Return the WebSockets that are open."""
        return [one for one in self.connections if isinstance(one, Connection) and one.state == Connection.STATE_OPEN]

    def is_idle(self) -> bool:
        """Return whether there is no WebSocket, and no request under way."""
        return not self.connections

    # --- The application ---

    async def _live(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "extensions": {SERVER_STATUS: {"status": self.status}},
        }

        async def send(_message: dict[str, Any]) -> None:
            """Nobody waits for the answers: connections are taken meanwhile, and an error is logged below."""

        try:
            await self.application(scope, self._lifespan_messages.get, send)
        except Exception:
            logger.exception("the application ended its lifespan early")

    def _end(self) -> Any:
        return defer.Deferred.fromFuture(asyncio.get_event_loop().create_task(self._shut_down()))

    async def _shut_down(self) -> None:
        await self.supervisor.stop()
        if self._lifespan is not None:
            self._lifespan_messages.put_nowait({"type": "lifespan.shutdown"})
            await self._lifespan

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Inbox | None:
        """Start the application for one connection or request, and return where messages for it go.

        A WebSocket's scope has, unless it is over TLS, an extension of ours: `scope["extensions"][DIRECT_WRITE]` is
        `{"write": write, "viewer": viewer}`. `write(frame: bytes) -> bool` is `Connection.write`, for one frame to one
        client; `viewer` is the connection as a `clock.asgi.Viewer`, for a crowd. An HTTP request's scope has one by
        which the server tells about itself: `scope["extensions"][SERVER_STATUS]` is `{"status": status}`.
        """
        if protocol not in self.connections:
            return None
        if isinstance(protocol, Connection):
            # Who is connected, whoever `--proxy-headers` takes it for: it believes what the client itself can write.
            scope["client"] = protocol.peer_address()
        if isinstance(protocol, Connection) and protocol.is_direct:
            scope["extensions"] = {DIRECT_WRITE: {"write": protocol.write, "viewer": protocol}}
        elif scope["type"] == "http":
            scope["extensions"] = {SERVER_STATUS: {"status": self.status}}
        scope["asgi"] = {"version": "3.0"}
        inbox = Inbox()
        application = self.application(scope, inbox.get, partial(self.handle_reply, protocol))
        task = asyncio.get_event_loop().create_task(application)
        task.add_done_callback(partial(self._forget_application, protocol))
        self.connections[protocol]["application_instance"] = task
        return inbox

    def _forget_application(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Forget an application that has ended well; Daphne looks once a second for those that have not."""
        details = self.connections.get(protocol)
        if details is not None and not task.cancelled() and task.exception() is None:
            details.pop("application_instance", None)
            self.forget_if_over(protocol)

    def listen_success(self, port: Any) -> None:
        """Say where the clock is to be seen."""
        super().listen_success(port)
        self._ports.append(port)
        address = port.getHost()
        if hasattr(address, "port"):
            host = f"[{address.host}]" if ":" in address.host else address.host
            logger.info("listening on http://%s:%d/clock/", host, address.port)
        else:
            logger.info("listening on %s", address)


def log_twisted_errors() -> None:
    """Log the errors that Twisted catches: Daphne sends all that Twisted logs nowhere."""
    errors = LogLevelFilterPredicate(LogLevel.error)
    globalLogPublisher.addObserver(FilteringLogObserver(STDLibLogObserver("twisted"), [errors]))


def make_http_connection() -> Any:
    """Return a new HTTP connection with the limits of the settings. Over TLS it may turn into one of HTTP/2."""
    connection = HttpConnection(
        request_timeout=settings.CLOCK_REQUEST_TIMEOUT or None,
        idle_timeout=settings.CLOCK_IDLE_TIMEOUT or None,
        max_header_size=settings.CLOCK_MAX_HEADER_SIZE or sys.maxsize,
    )
    return _GenericHTTPChannelProtocol(connection)


def with_backlog(endpoint: str) -> str:
    """Return a Twisted endpoint description with a backlog fit for a crowd, unless it names one or cannot have one."""
    if endpoint.startswith(("tcp:", "ssl:")) and "backlog=" not in endpoint:
        return f"{endpoint}:backlog={BACKLOG}"
    return endpoint


def raise_open_file_limit() -> None:
    """Let this process have as many open files, and so connections, as the system allows it, and never fail.

    macOS has no hard limit, and refuses a soft one above its own `OPEN_MAX`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in {hard, resource.RLIM_INFINITY}:
        return
    for limit in (hard, max(soft, OPEN_MAX)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return
    logger.warning("the limit on open files stays at %d: a higher one was refused", soft)
