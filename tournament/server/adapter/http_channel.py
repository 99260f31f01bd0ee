"""One HTTP connection: Twisted's, with deadlines and with rules for what a client may send.

Twisted limits how long a client may be silent, so one byte every now and then keeps a connection forever. Here a
request has a deadline. It runs from the moment the connection is made, or from a request's first byte on a connection
that is kept, to the end of the request's headers. A WebSocket handshake is such a request.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from twisted.web.http import HTTPChannel, _GenericHTTPChannelProtocol

from clock.asgi import Response

# Bytes of a request whose repetitions are recognized, and how many such requests there are. Those of browsers have a
# thousand bytes, and all browsers of one kind send the same.
MAX_REPEATED_BYTES: Final = 2048
MAX_REPEATED: Final = 500

# What ends a request without a body, and nothing else in it: RFC 9112, section 2.1.
END_OF_HEADERS: Final = b"\r\n\r\n"

# Seconds that a client has to read why it was refused, before it is disconnected.
REFUSAL_TIMEOUT_S: Final = 0.8


class RequestHead(NamedTuple):
    """What is known of a request when all its headers have been received."""

    version: bytes  # such as b"HTTP/1.1"
    target: bytes  # as sent: RFC 9112, section 3.2
    hosts: Sequence[bytes]  # the values of its Host headers
    body_length: int | None  # bytes; None for a body in chunks


class Accepted(NamedTuple):
    """How a request goes on: the path and query that it asks for, and the Host that counts if it is another."""

    path: bytes
    host: bytes | None = None


class HttpRules(Protocol):
    """What a client may do on an HTTP connection. One object serves all connections."""

    @property
    def request_timeout_s(self) -> float | None:
        """Seconds until the headers of a request must be complete; None for no limit."""

    @property
    def idle_timeout_s(self) -> float | None:
        """Seconds that a connection is kept between two requests; None for no limit."""

    @property
    def max_header_bytes(self) -> int:
        """Bytes of a request's line and headers together."""

    def check_header(self, line: bytes) -> HTTPStatus | None:
        """Return the status that refuses a header line, or None to accept it."""

    def check_request(self, head: RequestHead) -> HTTPStatus | Accepted:
        """Return the status that refuses a request, or how it goes on."""


class Repetitions:
    """The requests whose repetitions are answered at once, by their bytes, with what answers them.

    One object serves all connections. When it is full, the oldest request makes way.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[bool, bytes], Callable[[], bytes]] = {}

    def add(self, request: bytes, answer: Callable[[], bytes], *, is_secure: bool) -> None:
        """Answer a request with these bytes. No effect if they cannot be told from those of another request."""
        if len(request) <= MAX_REPEATED_BYTES and request.find(END_OF_HEADERS) == len(request) - len(END_OF_HEADERS):
            self._answers.pop((is_secure, request), None)
            if len(self._answers) >= MAX_REPEATED:
                del self._answers[next(iter(self._answers))]
            self._answers[is_secure, request] = answer

    def find(self, request: bytes, *, is_secure: bool) -> Callable[[], bytes] | None:
        """Return what answers a request."""
        return self._answers.get((is_secure, request))


class Successor(Protocol):
    """The WebSocket that an HTTP connection has become."""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read what the client has sent."""


class HttpChannel(HTTPChannel):
    """One HTTP connection.

    A client that is refused gets a status, and then the connection ends: 408 past the deadline, 431 with too many
    headers, 400 with what is not HTTP, or the status that the rules return.
    """

    transport: Any  # mypy does not read the methods of zope's interfaces
    abortTimeout: Any = REFUSAL_TIMEOUT_S  # noqa: N815 - Twisted's name, and its type is int for no reason

    def __init__(self, rules: HttpRules, repetitions: Repetitions) -> None:
        super().__init__()
        self._rules = rules
        self._repetitions = repetitions
        self.totalHeadersSize = self.MAX_LENGTH = rules.max_header_bytes  # all lines together, and each line
        self._idle = False  # between two requests
        self._refused = False
        self._request_bytes: bytes | None = None  # of the present request; empty if it came in parts
        self.successor: Successor | None = None

    @property
    def is_new(self) -> bool:
        """Whether the client has not requested anything yet."""
        return not self._idle and not self.requests

    # --- Time ---

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Start the deadline of the first request."""
        self.timeOut: Any = self._rules.request_timeout_s  # Twisted's type is int for no reason
        super().connectionMade()
        self._is_secure = self.isSecure()

    def resetTimeout(self) -> None:  # noqa: N802 - Twisted's name
        """Leave the deadline as it is: Twisted would move it with each byte received."""

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's name
        """Wait for the next request, or handle it if it has been received already."""
        self._idle = True
        self._request_bytes = None
        self._savedTimeOut = self._rules.idle_timeout_s
        super().requestDone(request)

    def timeoutConnection(self) -> None:  # noqa: N802 - Twisted's name
        """End a connection that is past its deadline. A client that had not begun a request gets no answer."""
        if self.requests or self._buffer:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            super().timeoutConnection()

    # --- Receiving ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read what the client has sent, unless it was refused."""
        if self._refused:
            return
        if self._idle or self._request_bytes is None:
            answer = self._repetitions.find(data, is_secure=self._is_secure)
            if answer is not None:
                self.transport.write(answer())
                self.setTimeout(self._rules.idle_timeout_s)
                self._idle = True
                return
        if self._idle:
            self._idle = False
            # Twisted looks for a timer that is to fire sooner in the list of all timers. Starting another one is fast.
            self.setTimeout(None)
            self.setTimeout(self._rules.request_timeout_s)
        self._request_bytes = data if self._request_bytes is None else b""
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read one line of the request's head."""
        if not self._refused:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        """Read a header; or refuse it and return False."""
        if status := self._rules.check_header(line):
            self._refuse(status)
            return False
        return bool(super().headerReceived(line))

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep what follows a request until that is answered. What follows a handshake belongs to the WebSocket."""
        if self.successor is not None:
            self.successor.dataReceived(data)
        elif not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, _line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Refuse a line that is longer than all lines together may be."""
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        """Refuse a request before its body is received; or accept it."""
        headers = self.requests[-1].requestHeaders
        hosts = headers.getRawHeaders(b"host", ())
        verdict = self._rules.check_request(RequestHead(self._version, self._path, hosts, self.length))
        if isinstance(verdict, HTTPStatus):
            self._refuse(verdict)
            self.length = None  # with 0, Twisted would handle the request all the same
            return
        self._path: Any = verdict.path  # the target of the request, and the name of a path in Twisted's own types
        if verdict.host is not None:
            headers.setRawHeaders(b"host", [verdict.host])
        super().allHeadersReceived()

    def answer_repetitions(self, answer: Callable[[], bytes]) -> None:
        """Answer repetitions of the request that is in progress with these bytes, whoever sends them.

        No effect if the connection ends with this request.
        """
        if self._request_bytes and self.persistent:
            self._repetitions.add(self._request_bytes, answer, is_secure=self._is_secure)

    # --- Refusing ---

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        is_large = self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_large else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with a status and end the connection.

        For `REFUSAL_TIMEOUT_S` seconds more, what the client sends is read and dropped: it could not read the status
        if the connection were closed while something is unread.
        """
        if self._refused:
            return
        self._refused = True
        self.clearLineBuffer()
        self.setTimeout(None)
        head = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self.transport.write(head.encode())
        if self.isSecure():
            self.loseConnection()
        else:
            self._networkProducer.unregisterProducer()
            self.transport.loseWriteConnection()
        self._abortingCall = self.callLater(REFUSAL_TIMEOUT_S, self.forceAbortClient)


def channel_maker(rules: HttpRules) -> Callable[[], Any]:
    """Return what makes the protocol of a new connection, for an `HTTPFactory`. Over TLS it may switch to HTTP/2."""
    repetitions = Repetitions()
    return lambda: _GenericHTTPChannelProtocol(HttpChannel(rules, repetitions))


def to_bytes(response: Response) -> bytes:
    """Return a response as it is sent."""
    status, headers, body = response
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join((*lines, b"", body))
