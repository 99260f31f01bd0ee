"""The web worker: Daphne for large crowds of viewers that stay.

Beyond Daphne's own server it offers each connection a faster way to send (see `Server.prepare`), starts and stops the
application by ASGI's lifespan protocol, accepts thousands of connections at once, drains before it stops, and
disconnects clients that have stopped reading.
"""

import asyncio
import logging
import signal
import socket
import sys
from functools import partial
from typing import Any, Final

from django.conf import settings

from clock.asgi import DIRECT_WRITE, SERVER_STATUS, Application, ServerStatus
from clock.endpoints.health import unready_reasons
from clock.process.lifetime import this_process
from clock.process.signals import HURRY_SIGNALS, stop_signals
from clock.process.supervisor import Supervisor
from tournament.processes.listening import BACKLOG
from tournament.server.adapter.adopted_connection import AdoptedConnection
from tournament.server.adapter.daphne_server import DaphneServer
from tournament.server.adapter.websocket import WebSocket
from tournament.server.connection import Connection, Shared
from tournament.server.drain import Drain
from tournament.server.garbage import Garbage
from tournament.server.heartbeat import Heartbeat
from tournament.server.http_limits import HttpLimits
from tournament.server.lifespan import Lifespan
from tournament.server.metrics_port import MetricsPort
from tournament.server.open_files import raise_open_file_limit
from tournament.server.receiver import Receiver

logger = logging.getLogger(__name__)

# Seconds for which a worker that gets no more connections serves on, so that requests arrive on those it has just got.
SETTLING_S: Final = 1.0

# How often a drain that fails is tried; after that the worker stops without.
DRAIN_ATTEMPTS: Final = 3


class Server:
    """A worker: its tasks, its signals and its drain. It answers the adapter's `ServerEvents`.

    `options` are Daphne's own, as its command line passes them. With a `link` to a supervisor it does not listen: it
    serves the connections that the supervisor sends.
    """

    def __init__(
        self, application: Application, endpoints: list[str], *, link: socket.socket | None = None, **options: Any
    ) -> None:
        endpoints = [with_backlog(endpoint) for endpoint in endpoints]
        self.status = ServerStatus(self.give_up)
        self.supervisor = Supervisor(self.give_up)
        self.heartbeat = Heartbeat(options["ping_interval"], options["ping_timeout"])
        self._pings = options["ping_interval"] > 0
        self._shared = Shared(
            heartbeat=self.heartbeat,
            status=self.status,
            accepts_messages=options["websocket_max_message_size"] > 0,
            max_control_frames=settings.CLOCK_MAX_CONTROL_FRAMES,
        )
        self._daphne = DaphneServer(
            application,
            endpoints if link is None else [],
            events=self,
            http_rules=HttpLimits.from_settings(),
            supervisor=self.supervisor,
            signal_handlers=False,
            **options,
        )
        self._receiver = None if link is None else Receiver(link, self)
        self._lifespan = Lifespan(application, self.status)
        self._metrics_port = MetricsPort(settings.CLOCK_METRICS_PORT, endpoints, self.status)
        self._drain = Drain(self, settings.CLOCK_DRAIN_NOTICE, settings.CLOCK_DRAIN_SPREAD)
        self._drain_attempts = 0
        self._is_signal_expected = False  # whoever stops the supervisor may signal this process as well
        self._has_failed = False

    def run(self) -> None:
        """Serve until stopped by a signal.

        Raises:
            SystemExit: with 1, if the worker gave up, or an endpoint is unavailable.
        """
        raise_open_file_limit()
        try:
            if self._receiver is None:
                self._metrics_port.listen()
            self._daphne.run()
        except SystemExit as error:
            reason = "it cannot listen" if isinstance(error.code, int) else str(error.code)
            this_process.because(reason, is_failure=True)
            sys.exit(1)
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)  # it has stopped: one more signal must not change the exit code
        if self._has_failed:
            sys.exit(1)

    # --- Called by the adapter ---

    def started(self) -> None:
        """Start the tasks of the worker."""
        loop = asyncio.get_event_loop()
        loop.call_soon(self._handle_signals)  # not yet: uvloop loses those that arrive before it runs
        if self._pings:
            loop.call_soon(partial(self.supervisor.start, "heartbeat", self.heartbeat.run, vital=True))
        self._lifespan.start(loop)
        if self._receiver is not None:
            loop.call_soon(self._receiver.start)
            loop.call_soon(partial(self.supervisor.start, "reports", self._receiver.run, vital=True))
            loop.call_soon(partial(self.supervisor.start, "metrics port", self._metrics_port.listen_when_free))
        loop.call_soon(partial(self.supervisor.start, "garbage collection", Garbage(self.viewer_count).run))

    async def stopping(self) -> None:
        """Stop the tasks of the worker."""
        await self.supervisor.stop()
        await self._lifespan.stop()

    def listening(self, address: Any) -> None:
        """Log where the clock is."""
        if hasattr(address, "port"):
            host = f"[{address.host}]" if ":" in address.host else address.host
            logger.info("listening on http://%s:%d/clock/", host, address.port)
        else:
            logger.info("listening on %s", address)

    def connected(self, socket: WebSocket) -> Connection:
        """Return the policy of a new WebSocket."""
        return Connection(socket, self._shared)

    def prepare(self, scope: dict[str, Any], socket: WebSocket | None) -> None:
        """Add this server's extensions to a scope.

        A WebSocket's scope has, unless it is over TLS, `scope["extensions"][DIRECT_WRITE]`, which is
        `{"write": write, "viewer": viewer}`. `write(frame: bytes) -> bool` is `Connection.write`, for one frame to one
        client; `viewer` is the connection as a `clock.asgi.Viewer`, for a crowd. An HTTP request's scope has
        `scope["extensions"][SERVER_STATUS]`, which is `{"status": status}`.
        """
        if socket is None:
            scope["extensions"] = {SERVER_STATUS: {"status": self.status}}
            return
        # The address that is connected, whatever `--proxy-headers` finds: it trusts what the client itself can send.
        scope["client"] = socket.peer_address()
        connection = socket.events
        if isinstance(connection, Connection) and connection.is_direct:
            scope["extensions"] = {DIRECT_WRITE: {"write": connection.write, "viewer": connection}}

    # --- Stopping ---

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._stop_on, number)

    def _stop_on(self, number: signal.Signals) -> None:
        """Drain, then stop. A terminal's SIGINT and SIGQUIT hurry the drain, and so does any second signal."""
        if number in HURRY_SIGNALS or (self.status.draining and not self._is_signal_expected):
            self._drain.hurry()
        self._is_signal_expected = False
        this_process.because(f"stopped by {number.name}")
        self._begin_drain(f"stopping on {number.name}: draining")

    def give_up(self, reason: str) -> None:
        """Drain, stop and exit with 1: a task that the worker cannot do without keeps failing."""
        logger.critical("%s: ending this worker", reason)
        this_process.because(reason, is_failure=True)
        self._has_failed = True
        self._begin_drain("draining")

    def _begin_drain(self, message: str) -> None:
        if not self.status.draining:
            logger.info(message)
            self.status.draining = True
            self.supervisor.start("drain", self._drain_and_stop)

    async def _drain_and_stop(self) -> None:
        self._drain_attempts += 1
        if self._drain_attempts > 1:
            self._drain.hurry()
        if self._drain_attempts <= DRAIN_ATTEMPTS:
            await self._drain.run()
        self._daphne.stop()

    # --- Called by the receiver ---

    def adopt(self, connection: socket.socket) -> AdoptedConnection:
        """Serve a connection that the supervisor has accepted."""
        return self._daphne.adopt(connection)

    def viewer_count(self) -> int:
        """Return how many WebSockets are open."""
        return len(self.heartbeat)

    def is_ready(self) -> bool:
        """Return whether this worker should get new viewers, as `/readyz` says."""
        return not unready_reasons(self.status)

    def drain_for_supervisor(self, reason: str, *, expects_connections: bool) -> None:
        """Drain. Without further connections no load balancer must notice, but those that have just come get time."""
        if not self.status.draining:
            self._is_signal_expected = expects_connections
            if not expects_connections:
                self._drain.set_notice(SETTLING_S)
        this_process.because(reason)
        self._begin_drain(f"{reason}: draining")

    # --- Called by the drain ---

    def stop_listening(self) -> None:
        """Accept no more connections."""
        self._daphne.stop_listening()
        if self._receiver is not None:
            self._receiver.close()

    def viewers(self) -> list[Connection]:
        """Return the connections that are open."""
        policies = (socket.events for socket in self._daphne.websockets())
        return [policy for policy in policies if isinstance(policy, Connection)]

    def is_idle(self) -> bool:
        """Return whether there is no WebSocket, and no request in progress."""
        return self._daphne.is_idle() and (self._receiver is None or self._receiver.is_idle)


def with_backlog(endpoint: str) -> str:
    """Return a Twisted endpoint description with a backlog for a crowd, unless it has one or cannot have one."""
    if endpoint.startswith(("tcp:", "ssl:")) and "backlog=" not in endpoint:
        return f"{endpoint}:backlog={BACKLOG}"
    return endpoint
