"""One HTTP connection: Twisted's, with limits on how long a client may take and how much it may send.

Twisted limits how long a client is silent, so that one byte every now and then keeps a connection for ever. Here a
request has a deadline: from the moment the connection is made, or from its first byte on a connection that is kept, to
the end of its headers. A WebSocket's handshake is such a request.
"""

import re
from http import HTTPStatus
from typing import Any, Final

from twisted.web.http import HTTPChannel

# Seconds that a client has for reading why it is refused, before it is cut off.
LAST_WORDS: Final = 0.8

# Bytes of a header's name. Twisted keeps the first 10,000 names that it meets for ever, however long they are.
LONGEST_NAME: Final = 100

# Digits of a Content-Length. Python refuses to read a number of more than 4,300, and Twisted does not expect that.
LONGEST_LENGTH: Final = 100

# A request's target in absolute form, as for a proxy: RFC 9112, section 3.2.2. Its host, and its path and query.
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)


class HttpConnection(HTTPChannel):
    """One HTTP connection. Its timeouts are in seconds, None for none; its sizes are in bytes.

    What is refused gets a status, and then the connection ends: 408 past the deadline, 413 with a body, which nothing
    here takes, 431 with too much of headers, and 400 where it is no HTTP: that is also without a Host, with several, or
    with a target that is for proxies alone.
    """

    # Of the request that is coming, by Twisted's names: its target; and how long its body is, where that is known.
    _path: bytes
    length: int | None
    abortTimeout = LAST_WORDS  # noqa: N815 - Twisted's name

    def __init__(self, *, request_timeout: float | None, idle_timeout: float | None, max_header_size: int) -> None:
        super().__init__()
        self._request_timeout = request_timeout
        self._idle_timeout = idle_timeout
        self.totalHeadersSize = self.MAX_LENGTH = max_header_size  # all lines together, and one by itself
        self._idle = False  # between two requests
        self._refused = False
        self.successor: Any = None  # the WebSocket that this connection has become

    # --- Time ---

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Begin to wait for the first request."""
        self.timeOut = self._request_timeout
        super().connectionMade()

    def resetTimeout(self) -> None:  # noqa: N802 - Twisted's name
        """Leave a deadline where it is, whatever comes."""

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's name
        """Begin to wait for the next request, unless it has come already."""
        self._idle = True
        self._savedTimeOut = self._idle_timeout
        super().requestDone(request)

    def timeoutConnection(self) -> None:  # noqa: N802 - Twisted's name
        """End a connection whose client took too long: without a word, unless it had begun a request."""
        if self.requests or self._buffer:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            super().timeoutConnection()

    # --- What comes in ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take in what has come, unless the client was refused."""
        if self._refused:
            return
        if self._idle:
            self._idle = False
            self.setTimeout(self._request_timeout)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take in a line of the headers."""
        if not self._refused:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        """Take in a header; or return False, for it is refused."""
        if line.find(b":") > LONGEST_NAME:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value) > LONGEST_LENGTH:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return False
        return bool(super().headerReceived(line))

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep what comes behind a request until that is answered; or hand it on, if it came behind a handshake."""
        if self.successor is not None:
            self.successor.dataReceived(data)
        elif not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, _line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Refuse a line that is longer than all may be together."""
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        """Refuse a request before its body comes; or take it."""
        if self.length != 0:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif not (self._has_one_host() and self._reduce_target()):
            self._refuse(HTTPStatus.BAD_REQUEST)
            self.length = None  # with 0, Twisted would take it all the same
        else:
            super().allHeadersReceived()

    def _has_one_host(self) -> bool:
        """Return whether the request has one Host: RFC 9112, section 3.2. Before HTTP/1.1 it may have none."""
        hosts = self.requests[-1].requestHeaders.getRawHeaders(b"host", ())
        return len(hosts) == 1 or (not hosts and self._version == b"HTTP/1.0")

    def _reduce_target(self) -> bool:
        """Bring a target in absolute form into the usual one; return False if it is in no form that is for this server.

        What it says of the host counts, and not what the header says.
        """
        absolute = _ABSOLUTE.fullmatch(self._path)
        if absolute:
            self.requests[-1].requestHeaders.setRawHeaders(b"host", [absolute[1]])
            self._path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        return bool(self._path.startswith(b"/"))

    # --- Refusing ---

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        is_large = self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_large else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with a status and end the connection.

        What the client still sends is read and dropped for a moment: it could not read the status if the connection
        were closed with something unread.
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
        self._abortingCall = self.callLater(LAST_WORDS, self.forceAbortClient)
