"""What a client may send over HTTP, and how long it may take. Plain rules: the adapter applies them.

What is refused gets a status: 413 with a body, which nothing here accepts, 431 with too many or too long headers, and
400 without a Host, with several, or with a target that only proxies accept.
"""

import re
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from django.conf import settings

from tournament.server.adapter.http_channel import Accepted, RequestHead

# Bytes of a header's name. Twisted keeps the first 10,000 names that it receives forever, however long they are.
MAX_NAME_BYTES: Final = 100

# Digits of a Content-Length. Python refuses to parse a number of more than 4,300, and Twisted does not expect that.
MAX_LENGTH_DIGITS: Final = 100

# A request's target in absolute form, as for a proxy: RFC 9112, section 3.2.2. Its host, and its path and query.
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)


@dataclass(frozen=True)
class HttpLimits:
    """The rules for HTTP connections. Timeouts are in seconds, None for no limit."""

    request_timeout_s: float | None  # from the connection, or a request's first byte, to the end of its headers
    idle_timeout_s: float | None  # between two requests
    max_header_bytes: int  # of a request's line and headers

    @classmethod
    def from_settings(cls) -> Self:
        """Return the limits of the settings, where 0 stands for no limit."""
        return cls(
            request_timeout_s=settings.CLOCK_REQUEST_TIMEOUT or None,
            idle_timeout_s=settings.CLOCK_IDLE_TIMEOUT or None,
            max_header_bytes=settings.CLOCK_MAX_HEADER_SIZE or sys.maxsize,
        )

    def check_header(self, line: bytes) -> HTTPStatus | None:
        """Return the status that refuses a header line, or None to accept it."""
        name, colon, value = line.partition(b":")
        if colon and len(name) > MAX_NAME_BYTES:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if name.lower() == b"content-length" and len(value) > MAX_LENGTH_DIGITS:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return None

    def check_request(self, head: RequestHead) -> HTTPStatus | Accepted:
        """Return the status that refuses a request, or how it goes on."""
        if head.body_length != 0:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        # RFC 9112, section 3.2: a request has one Host. Before HTTP/1.1 it may have none.
        if len(head.hosts) != 1 and (head.hosts or head.version != b"HTTP/1.0"):
            return HTTPStatus.BAD_REQUEST
        return origin_form(head.target) or HTTPStatus.BAD_REQUEST


def origin_form(target: bytes) -> Accepted | None:
    """Return a request's target in origin form, or None if it is in a form that is not for an origin server.

    For a target in absolute form its own host counts, and not the Host header: RFC 9112, section 3.2.2.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:
        path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        return Accepted(path, absolute[1])
    return Accepted(target) if target.startswith(b"/") else None
