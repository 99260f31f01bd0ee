"""Daphne's server, with monotonic timeouts, a clean shutdown, and hooks for what the worker adds.

Daphne keeps in `connections` what it knows of each WebSocket and each HTTP request that is in progress, and checks them
once a second or two. Here the times in there are those of the monotonic clock. An established WebSocket is not checked:
a crowd of them would take 50 ms, and every tick of that time would be late.
"""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

from daphne.http_protocol import WebRequest
from daphne.server import Server
from twisted.internet import defer

from clock.asgi import REPEATED_REQUEST, Answer
from clock.process.supervisor import Supervisor
from tournament.server.adapter.adopted_connection import AdoptedConnection
from tournament.server.adapter.connection_events import ConnectionEvents
from tournament.server.adapter.http_channel import HttpChannel, HttpRules, channel_maker, to_bytes
from tournament.server.adapter.inbox import Inbox
from tournament.server.adapter.library_logs import log_twisted_errors, omit_autobahn_colours
from tournament.server.adapter.reactor import current_reactor
from tournament.server.adapter.websocket import WebSocket

# Seconds between two checks of the applications, and of the time limits.
APPLICATION_INTERVAL_S: Final = 1.0
TIMEOUT_INTERVAL_S: Final = 2.0

logger = logging.getLogger(__name__)


class ServerEvents(Protocol):
    """The worker, as the server calls it."""

    def started(self) -> None:
        """Start what runs with the server. The loop is about to run: it accepts tasks, but no signal handlers yet."""

    def stopping(self) -> Coroutine[Any, Any, None]:
        """Stop what runs with the server. Afterwards the applications that are left are cancelled."""

    def listening(self, address: Any) -> None:
        """Handle that a port listens on a Twisted address, which has `host` and `port` if it is TCP."""

    def connected(self, socket: WebSocket) -> ConnectionEvents:
        """Return the policy of a new WebSocket."""

    def prepare(self, scope: dict[str, Any], socket: WebSocket | None) -> None:
        """Complete the ASGI scope of a WebSocket, or of an HTTP request."""


class DaphneServer(Server):
    """Daphne's server. Its tasks run under `supervisor`; `options` are Daphne's own.

    Without endpoints all of its connections come from `adopt`.
    """

    def __init__(
        self,
        application: Any,
        endpoints: list[str],
        *,
        events: ServerEvents,
        http_rules: HttpRules,
        supervisor: Supervisor,
        **options: Any,
    ) -> None:
        super().__init__(application, endpoints or ["none: Daphne insists on one"], **options)
        self.endpoints = endpoints
        self._events = events
        self._http_rules = http_rules
        self._supervisor = supervisor
        self._ports: list[Any] = []
        self.connections: dict[Any, dict[str, Any]] = {}
        self._to_check: dict[Any, None] = {}  # the connections that are not established WebSockets

    # --- For the worker ---

    def run(self) -> None:
        """Serve until `stop` is called.

        Raises:
            SystemExit: with 1, if an endpoint is unavailable.
        """
        reactor = current_reactor()
        reactor.callWhenRunning(self._started)
        reactor.addSystemEventTrigger("before", "shutdown", self._stopping)
        super().run()
        if self.abort_start:
            sys.exit(1)

    def stop_listening(self) -> None:
        """Accept no more connections."""
        for port in self._ports:
            port.stopListening()

    def adopt(self, connection: socket.socket) -> AdoptedConnection:
        """Serve a connection that another process has accepted. The socket belongs to the server from now on."""
        return AdoptedConnection(connection, self.http_factory)

    def websockets(self) -> list[WebSocket]:
        """Return the WebSockets that are open."""
        return [
            protocol for protocol in self.connections if isinstance(protocol, WebSocket) and protocol.is_established
        ]

    def is_idle(self) -> bool:
        """Return whether there is no WebSocket, and no request in progress."""
        return not self.connections

    def _started(self) -> None:
        self.http_factory.protocol = channel_maker(self._http_rules)
        self.http_factory.log = _log_nothing  # Twisted's access log: Daphne has one of its own, and this one goes nowhere
        self.ws_factory.protocol = WebSocket.with_options_of(self.ws_factory, self._events.connected)
        if not self.endpoints:
            self.http_factory.doStart()  # otherwise a port does it
        log_twisted_errors()
        omit_autobahn_colours()
        self._events.started()

    def _stopping(self) -> Any:
        return defer.Deferred.fromFuture(asyncio.get_event_loop().create_task(self._events.stopping()))

    def listen_success(self, port: Any) -> None:
        """Tell the worker that a port listens."""
        super().listen_success(port)
        self._ports.append(port)
        self._events.listening(port.getHost())

    # --- Applications ---

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Inbox | None:
        """Start the application for one WebSocket or request, and return where messages for it go."""
        if protocol not in self.connections:
            return None
        self._events.prepare(scope, protocol if isinstance(protocol, WebSocket) else None)
        if isinstance(protocol, WebRequest) and isinstance(protocol.channel, HttpChannel):
            scope["extensions"][REPEATED_REQUEST] = {"answer_with": partial(_answer_repetitions, protocol.channel)}
        scope["asgi"] = {"version": "3.0"}
        inbox = Inbox()
        application = self.application(scope, inbox.get, partial(self.handle_reply, protocol))
        task = asyncio.get_event_loop().create_task(application)
        task.add_done_callback(partial(self._application_ended, protocol))
        self.connections[protocol]["application_instance"] = task
        return inbox

    def _application_ended(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Forget an application that ended without an error; `check_applications` handles the others."""
        details = self.connections.get(protocol)
        if details is None:
            return
        if task.cancelled() or task.exception() is not None:
            self._to_check[protocol] = None
            return
        details.pop("application_instance", None)
        self._forget_if_over(protocol)

    def protocol_connected(self, protocol: Any) -> None:
        """Add a WebSocket or request."""
        super().protocol_connected(protocol)
        self.connections[protocol]["connected"] = time.monotonic()
        self._to_check[protocol] = None

    def established(self, protocol: WebSocket) -> None:
        """Check a WebSocket no longer, unless Daphne is to limit its duration: its handshake is over."""
        if self.websocket_timeout < 0:
            self._to_check.pop(protocol, None)

    def protocol_disconnected(self, protocol: Any) -> None:
        """Mark a WebSocket or request as over. No effect if that is done already, or it was never added."""
        if protocol in self.connections:
            self.connections[protocol].setdefault("disconnected", time.monotonic())
            self._to_check[protocol] = None
            self._forget_if_over(protocol)

    def _forget_if_over(self, protocol: Any) -> None:
        """Forget a WebSocket or request that is over, with its application, at once: a crowd is thousands."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and "application_instance" not in details:
            self._forget(protocol)

    def _forget(self, protocol: Any) -> None:
        self.connections.pop(protocol, None)
        self._to_check.pop(protocol, None)

    def kill_all_applications(self) -> Any:
        """Cancel the applications that are left when the server stops, and have the reactor wait for their end.

        Daphne's own raises KeyError if a connection has no application (it was upgraded within the last second, or the
        application has ended), and then cancels none.
        """
        applications = [details.get("application_instance") for details in self.connections.values()]
        left = [application for application in applications if application is not None and not application.done()]
        for application in left:
            application.cancel()
        return defer.Deferred.fromFuture(asyncio.gather(*left, return_exceptions=True)) if left else None

    # --- Periodic checks. Daphne calls each checker once; from then on a supervised task runs the check. ---

    def application_checker(self) -> None:
        """Start to check the applications."""
        self._supervisor.start("application checker", partial(_repeat, self.check_applications, APPLICATION_INTERVAL_S))

    def timeout_checker(self) -> None:
        """Start to check the time limits."""
        self._supervisor.start("timeout checker", partial(_repeat, self.check_timeouts, TIMEOUT_INTERVAL_S))

    def check_applications(self) -> None:
        """Handle the applications that ended with an error, or do not end though their client has disconnected."""
        self._check_each(self._check_application)

    def check_timeouts(self) -> None:
        """Enforce Daphne's time limits."""
        self._check_each(self._check_timeout)

    def _check_each(self, check: Callable[[Any, dict[str, Any]], None]) -> None:
        """Check each WebSocket and request. One whose check fails is forgotten, so that the others are checked."""
        for protocol in list(self._to_check):
            try:
                check(protocol, self.connections[protocol])
            except Exception:
                logger.exception("a connection could not be checked and is forgotten")
                self._forget(protocol)

    def _check_application(self, protocol: Any, details: dict[str, Any]) -> None:
        application = details.get("application_instance")
        if application is None:
            self._forget_if_over(protocol)
        elif application.done():
            self._report_end(protocol, details.pop("application_instance"))
            self._forget_if_over(protocol)
        elif self._is_overdue(details):
            logger.warning("an application did not end within %g s: cancelled", self.application_close_timeout)
            application.cancel()

    def _check_timeout(self, protocol: Any, details: dict[str, Any]) -> None:
        if not isinstance(protocol, WebRequest):
            protocol.check_timeouts()
        elif self.http_timeout and time.monotonic() - details["connected"] > self.http_timeout:
            protocol.request_start = 0.0  # Daphne compares it with the wall clock: long ago by any
            protocol.check_timeouts()

    def _is_overdue(self, details: dict[str, Any]) -> bool:
        since = details.get("disconnected")
        return since is not None and time.monotonic() - since > self.application_close_timeout

    def _report_end(self, protocol: Any, application: asyncio.Task[None]) -> None:
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("exception inside the application: %s", error, exc_info=error)
            if "disconnected" not in self.connections[protocol]:
                protocol.handle_exception(error)


def _log_nothing(_request: Any) -> None:
    """Do without a log line."""


def _answer_repetitions(channel: HttpChannel, answer: Answer) -> None:
    """Answer the repetitions of a channel's request with what the application returns for each of them."""
    channel.answer_repetitions(lambda: to_bytes(answer()))


async def _repeat(check: Callable[[], None], interval_s: float) -> None:
    """Check once per interval, forever."""
    while True:
        check()
        await asyncio.sleep(interval_s)
