"""A small HTTP port beside the main one: a few connections at a time, each for one request, answered at once."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.web.http import Request

from tournament.server.adapter.http_channel import HttpChannel, HttpRules, Repetitions
from tournament.server.adapter.reactor import current_reactor


class Answer(NamedTuple):
    """What is answered to a request."""

    status: HTTPStatus
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


# Returns the answer to a request with this method and path.
Respond = Callable[[bytes, bytes], Answer]


class _Request(Request):
    """One request."""

    def __init__(self, respond: Respond, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._respond = respond

    def process(self) -> None:
        """Answer it."""
        answer = self._respond(self.method, self.path)
        self.setResponseCode(int(answer.status), answer.status.phrase.encode())
        self.setHeader(b"content-length", b"%d" % len(answer.body))
        for name, value in answer.headers:
            self.setHeader(name, value)
        self.write(answer.body)
        self.finish()


class _Channel(HttpChannel):
    """One connection, for one request."""

    def checkPersistence(self, request: Any, _version: bytes) -> bool:  # noqa: N802 - Twisted's name
        """End the connection after the answer: a thousand requests in a row would be answered in one go."""
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def connectionLost(self, reason: Any = connectionDone) -> None:  # noqa: N802 - Twisted's name
        """Make room for another."""
        self.factory.connections -= 1
        super().connectionLost(reason)


class HttpPort(ServerFactory[_Channel]):
    """The port. With `max_connections` open, a further connection is closed without an answer."""

    noisy = False  # Twisted would log that it listens

    def __init__(self, respond: Respond, rules: HttpRules, max_connections: int) -> None:
        self._respond = respond
        self._rules = rules
        self._max_connections = max_connections
        self.connections = 0

    def listen(self, port: int, interface: str) -> None:
        """Accept connections until the reactor stops.

        Raises:
            OSError: the port is unavailable.
        """
        try:
            current_reactor().listenTCP(port, self, interface=interface)
        except CannotListenError as error:
            raise OSError(str(error)) from None

    def buildProtocol(self, _address: Any) -> _Channel | None:  # noqa: N802 - Twisted's name
        """Return a new connection, if there is room for it."""
        if self.connections >= self._max_connections:
            return None
        self.connections += 1
        channel = _Channel(self._rules, Repetitions())
        channel.factory = self
        make_request: Any = partial(_Request, self._respond)
        channel.requestFactory = make_request
        return channel

    def log(self, _request: Any) -> None:
        """Log nothing: Twisted reports each request here."""
