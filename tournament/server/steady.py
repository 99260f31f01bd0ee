"""Daphne's server with what goes by the wall clock there, or stumbles when it stops, put right.

Daphne keeps in `connections` what it knows of each WebSocket and each HTTP request under way, and looks through them
now and then. Here the times in there are those of the monotonic clock.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from daphne.http_protocol import WebRequest
from daphne.server import Server as DaphneServer
from twisted.internet import defer

from clock.process.supervisor import Supervisor

# Seconds between two looks at the applications, and at the time limits.
APPLICATION_INTERVAL: Final = 1.0
TIMEOUT_INTERVAL: Final = 2.0

logger = logging.getLogger(__name__)


class SteadyServer(DaphneServer):
    """Daphne's server, whatever the wall clock does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.supervisor = Supervisor()

    def protocol_connected(self, protocol: Any) -> None:
        """Begin to know a connection or request."""
        super().protocol_connected(protocol)
        self.connections[protocol]["connected"] = time.monotonic()

    def protocol_disconnected(self, protocol: Any) -> None:
        """Know that a connection or request is over; nothing happens if that is known, or it is not known at all."""
        if protocol in self.connections:
            self.connections[protocol].setdefault("disconnected", time.monotonic())
            self.forget_if_over(protocol)

    def forget_if_over(self, protocol: Any) -> None:
        """Forget a connection or request that is over, with its application. A crowd is thousands."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and "application_instance" not in details:
            del self.connections[protocol]

    # --- What is looked at now and then. Daphne calls each checker once; from then on a supervised task does. ---

    def application_checker(self) -> None:
        """Begin to look at the applications."""
        self.supervisor.start("application checker", partial(_repeat, self.check_applications, APPLICATION_INTERVAL))

    def timeout_checker(self) -> None:
        """Begin to look at the time limits."""
        self.supervisor.start("timeout checker", partial(_repeat, self.check_timeouts, TIMEOUT_INTERVAL))

    def check_applications(self) -> None:
        """See to the applications that ended badly, or do not end though their client has gone."""
        self._check_each(self._check_application)

    def check_timeouts(self) -> None:
        """Enforce Daphne's time limits."""
        self._check_each(self._check_timeout)

    def _check_each(self, check: Callable[[Any, dict[str, Any]], None]) -> None:
        """Check each connection and request. One that cannot be checked is forgotten, so that the others can."""
        for protocol, details in list(self.connections.items()):
            try:
                check(protocol, details)
            except Exception:
                logger.exception("a connection could not be checked: it is forgotten")
                self.connections.pop(protocol, None)

    def _check_application(self, protocol: Any, details: dict[str, Any]) -> None:
        application = details.get("application_instance")
        if application is None:
            self.forget_if_over(protocol)
        elif application.done():
            self._see_to_the_end(protocol, details.pop("application_instance"))
            self.forget_if_over(protocol)
        elif self._is_late(details):
            logger.warning("an application did not end within %g s: cancelled", self.application_close_timeout)
            application.cancel()

    def _check_timeout(self, protocol: Any, details: dict[str, Any]) -> None:
        if not isinstance(protocol, WebRequest):
            protocol.check_timeouts()
        elif self.http_timeout and time.monotonic() - details["connected"] > self.http_timeout:
            protocol.request_start = 0.0  # it compares with the wall clock itself, so let there be no doubt
            protocol.check_timeouts()

    def _is_late(self, details: dict[str, Any]) -> bool:
        since = details.get("disconnected")
        return since is not None and time.monotonic() - since > self.application_close_timeout

    def _see_to_the_end(self, protocol: Any, application: asyncio.Task[None]) -> None:
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("exception inside the application: %s", error, exc_info=error)
            if "disconnected" not in self.connections[protocol]:
                protocol.handle_exception(error)

    def kill_all_applications(self) -> Any:
        """Cancel what is left when the server stops, and have the reactor wait for its end.

        Daphne's own raises a KeyError if a connection has no application (it was upgraded within the last second, or
        the application has ended), and then cancels none.
        """
        applications = [details.get("application_instance") for details in self.connections.values()]
        left = [application for application in applications if application is not None and not application.done()]
        for application in left:
            application.cancel()
        return defer.Deferred.fromFuture(asyncio.gather(*left, return_exceptions=True)) if left else None


async def _repeat(check: Callable[[], None], interval: float) -> None:
    """Check now and then, for ever: `interval` is in seconds."""
    while True:
        check()
        await asyncio.sleep(interval)
