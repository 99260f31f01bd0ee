"""Daphne's server, with a clean shutdown, and hooks for what the worker adds."""

import asyncio
import socket
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

from daphne.http_protocol import WebRequest
from twisted.internet import defer

from clock.asgi import REPEATED_REQUEST, Answer
from clock.process.supervisor import Supervisor
from tournament.server.adapter.adopted_connection import AdoptedConnection
from tournament.server.adapter.checked_server import CheckedServer
from tournament.server.adapter.connection_events import ConnectionEvents
from tournament.server.adapter.http_channel import HttpChannel, HttpRules, channel_maker, to_bytes
from tournament.server.adapter.inbox import Inbox
from tournament.server.adapter.library_logs import log_twisted_errors, omit_autobahn_colours
from tournament.server.adapter.reactor import current_reactor
from tournament.server.adapter.websocket import WebSocket


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


class DaphneServer(CheckedServer):
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
        super().__init__(application, endpoints or ["none: Daphne insists on one"], supervisor=supervisor, **options)
        self.endpoints = endpoints
        self._events = events
        self._http_rules = http_rules
        self._ports: list[Any] = []

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
        self.http_factory.log = _log_nothing  # Twisted's access log goes nowhere, and Daphne has its own
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
        task.add_done_callback(partial(self.application_ended, protocol))
        self.connections[protocol]["application_instance"] = task
        return inbox

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


def _log_nothing(_request: Any) -> None:
    """Do without a log line."""


def _answer_repetitions(channel: HttpChannel, answer: Answer) -> None:
    """Answer the repetitions of a channel's request with what the application returns for each of them."""
    channel.answer_repetitions(lambda: to_bytes(answer()))
