"""The metrics port: what Prometheus asks this worker, on a port that no load balancer knows.

It is on the worker's own event loop, for the metrics are read from objects in this process. So that nobody there keeps
the loop busy, or takes the open files that are for viewers, there are few connections at a time, each with one request
and with the limits of the worker's other HTTP connections.
"""

import logging
import re
import sys
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.web.http import Request

from clock.asgi import ServerStatus
from clock.endpoints.metrics import CONTENT_TYPE, metrics
from tournament.server.http_connection import HttpConnection

logger = logging.getLogger(__name__)

# Connections at a time. Prometheus needs one; whoever comes when they are taken is closed without a word.
MOST_CONNECTIONS: Final = 8


class MetricsRequest(Request):
    """One request: it is answered at once."""

    def __init__(self, status: ServerStatus, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._status = status

    def process(self) -> None:
        """Answer it."""
        code, body = self._answer()
        self.setResponseCode(int(code), code.phrase.encode())
        self.setHeader(b"content-length", b"%d" % len(body))
        self.setHeader(b"cache-control", b"no-store")
        if code == HTTPStatus.OK:
            self.setHeader(b"content-type", CONTENT_TYPE)
        elif code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.setHeader(b"allow", b"GET, HEAD")
        self.write(body)
        self.finish()

    def _answer(self) -> tuple[HTTPStatus, bytes]:
        if self.path != b"/metrics":
            return HTTPStatus.NOT_FOUND, b""
        if self.method not in {b"GET", b"HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, b""
        try:
            return HTTPStatus.OK, metrics(self._status)
        except Exception:
            logger.exception("the metrics cannot be told")
            return HTTPStatus.INTERNAL_SERVER_ERROR, b""


class MetricsConnection(HttpConnection):
    """One connection, for one request."""

    def checkPersistence(self, request: Any, _version: bytes) -> bool:  # noqa: N802 - Twisted's name
        """End the connection after the answer: a thousand requests in a row would be answered in one go."""
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        """Make room for another."""
        self.factory.connections -= 1
        super().connectionLost(reason)


class MetricsPort(ServerFactory):
    """The port for the metrics of a worker with these endpoints; none if the port is 0."""

    noisy = False  # it is told below

    def __init__(self, port: int, endpoints: Sequence[str], status: ServerStatus) -> None:
        self._port = port
        self._interface = interface_of(endpoints)
        self._status = status
        self.connections = 0

    def listen(self) -> None:
        """Take connections until the reactor stops.

        Raises:
            SystemExit: the port cannot be had.
        """
        if not self._port:
            return
        try:
            reactor.listenTCP(self._port, self, interface=self._interface)
        except CannotListenError as error:
            raise SystemExit(f"CLOCK_METRICS_PORT={self._port} cannot be used: {error}") from None
        logger.info("metrics are on port %d, /metrics", self._port)

    def buildProtocol(self, _address: Any) -> MetricsConnection | None:  # noqa: N802 - Twisted's name
        """Return a new connection, if there is room for it."""
        if self.connections >= MOST_CONNECTIONS:
            return None
        self.connections += 1
        connection = MetricsConnection(
            request_timeout=settings.CLOCK_REQUEST_TIMEOUT or None,
            idle_timeout=settings.CLOCK_IDLE_TIMEOUT or None,
            max_header_size=settings.CLOCK_MAX_HEADER_SIZE or sys.maxsize,
        )
        connection.factory = self
        connection.requestFactory = partial(MetricsRequest, self._status)
        return connection

    def log(self, _request: Any) -> None:
        """Log nothing: Twisted has each request told here."""


def interface_of(endpoints: Sequence[str]) -> str:
    r"""Return the address that the first TCP endpoint of these is bound to; without one, that of the loopback.

    They are descriptions as Twisted has them: `tcp:port=8001:interface=127.0.0.1`, with colons written `\:`.
    """
    for endpoint in endpoints:
        if endpoint.startswith(("tcp:", "ssl:")):
            found = re.search(r":interface=((?:\\.|[^:\\])*)", endpoint)
            return re.sub(r"\\(.)", r"\1", found[1]) if found else ""
    return "127.0.0.1"
