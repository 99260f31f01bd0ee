"""The metrics port: Prometheus scrapes this worker on a port that no load balancer knows.

It runs on the worker's own event loop, because the metrics are read from objects in this process. So that nobody there
can keep the loop busy, or use up the open files that viewers need, it accepts few connections at a time, each for one
request, with the limits of the worker's other HTTP connections.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from clock.asgi import ServerStatus
from clock.endpoints.metrics import CONTENT_TYPE, metrics
from tournament.server.adapter.http_port import Answer, HttpPort
from tournament.server.http_limits import HttpLimits

logger = logging.getLogger(__name__)

# Connections at a time. Prometheus needs one; a further one is closed without an answer.
MAX_CONNECTIONS: Final = 8

# Seconds between two attempts to listen on a port that another worker still has.
RETRY_PAUSE_S: Final = 0.5

_NOT_STORED: Final = (b"cache-control", b"no-store")


class MetricsPort:
    """The port for the metrics of a worker with these endpoints; none if the port is 0."""

    def __init__(self, port: int, endpoints: Sequence[str], status: ServerStatus) -> None:
        self._port = port
        self._interface = interface_of(endpoints)
        self._status = status
        self.http_port = HttpPort(self._respond, HttpLimits.from_settings(), MAX_CONNECTIONS)

    def listen(self) -> None:
        """Accept connections until the worker stops.

        Raises:
            SystemExit: the port is unavailable.
        """
        if not self._port:
            return
        try:
            self.http_port.listen(self._port, self._interface)
        except OSError as error:
            raise SystemExit(f"CLOCK_METRICS_PORT={self._port} is unavailable: {error}") from None
        logger.info("metrics are on port %d, /metrics", self._port)

    async def listen_when_free(self) -> None:
        """Accept connections as soon as the port is free: a worker that is replaced keeps its port until it ends."""
        has_waited = False
        while self._port:
            try:
                self.http_port.listen(self._port, self._interface)
            except OSError as error:
                if not has_waited:
                    logger.info("the metrics port is not free yet: %s", error)
                has_waited = True
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                logger.info("metrics are on port %d, /metrics", self._port)
                return

    def _respond(self, method: bytes, path: bytes) -> Answer:
        if path != b"/metrics":
            return Answer(HTTPStatus.NOT_FOUND, headers=(_NOT_STORED,))
        if method not in {b"GET", b"HEAD"}:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers=(_NOT_STORED, (b"allow", b"GET, HEAD")))
        try:
            body = metrics(self._status)
        except Exception:
            logger.exception("the metrics could not be collected")
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, headers=(_NOT_STORED,))
        return Answer(HTTPStatus.OK, body, (_NOT_STORED, (b"content-type", CONTENT_TYPE)))


def interface_of(endpoints: Sequence[str]) -> str:
    r"""Return the address that the first TCP endpoint of these is bound to; without one, the loopback address.

    The endpoints are Twisted's descriptions: `tcp:port=8001:interface=127.0.0.1`, with colons written `\:`.
    """
    for endpoint in endpoints:
        if endpoint.startswith(("tcp:", "ssl:")):
            found = re.search(r":interface=((?:\\.|[^:\\])*)", endpoint)
            return re.sub(r"\\(.)", r"\1", found[1]) if found else ""
    return "127.0.0.1"
