"""Daphne's server with another table of its connections.

Daphne keeps in `connections` what it knows of each WebSocket and each HTTP request that is in progress, and checks them
once a second or two. Here the times in there are those of the monotonic clock. An established WebSocket is not checked:
a crowd of them would take 50 ms, and every tick of that time would be late.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from daphne.http_protocol import WebRequest
from daphne.server import Server

from clock.process.supervisor import Supervisor

# Seconds between two checks of the applications, and of the time limits.
APPLICATION_INTERVAL_S: Final = 1.0
TIMEOUT_INTERVAL_S: Final = 2.0

logger = logging.getLogger(__name__)


class CheckedServer(Server):
    """A server that checks its connections in tasks under `supervisor`. `options` are Daphne's own."""

    def __init__(self, application: Any, endpoints: list[str], *, supervisor: Supervisor, **options: Any) -> None:
        super().__init__(application, endpoints, **options)
        self._supervisor = supervisor
        self.connections: dict[Any, dict[str, Any]] = {}
        self._to_check: dict[Any, None] = {}  # the connections that are not established WebSockets

    def protocol_connected(self, protocol: Any) -> None:
        """Add a WebSocket or request."""
        super().protocol_connected(protocol)
        self.connections[protocol]["connected"] = time.monotonic()
        self._to_check[protocol] = None

    def established(self, protocol: Any) -> None:
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

    def application_ended(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Forget an application that ended without an error; `check_applications` handles the others."""
        details = self.connections.get(protocol)
        if details is None:
            return
        if task.cancelled() or task.exception() is not None:
            self._to_check[protocol] = None
            return
        details.pop("application_instance", None)
        self._forget_if_over(protocol)

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
        for protocol, details in [(one, self.connections[one]) for one in self._to_check]:
            try:
                check(protocol, details)
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
        duration_s = time.monotonic() - details["connected"]
        if isinstance(protocol, WebRequest):
            if self.http_timeout and duration_s > self.http_timeout:
                protocol.request_start = 0.0  # Daphne compares it with the wall clock: long ago by any
                protocol.check_timeouts()
        # Daphne's own check would also send pings by the wall clock: see `Heartbeat`.
        elif protocol.state == protocol.STATE_CONNECTING:
            if duration_s > self.websocket_connect_timeout:
                protocol.serverReject()
        elif 0 <= self.websocket_timeout < duration_s:
            protocol.serverClose()

    def _is_overdue(self, details: dict[str, Any]) -> bool:
        since = details.get("disconnected")
        return since is not None and time.monotonic() - since > self.application_close_timeout

    def _report_end(self, protocol: Any, application: asyncio.Task[None]) -> None:
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("exception inside the application: %s", error, exc_info=error)
            if "disconnected" not in self.connections[protocol]:
                protocol.handle_exception(error)


async def _repeat(check: Callable[[], None], interval_s: float) -> None:
    """Check once per interval, forever."""
    while True:
        check()
        await asyncio.sleep(interval_s)
