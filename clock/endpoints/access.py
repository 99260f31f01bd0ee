"""Access control of HTTP requests and WebSocket handshakes: by method, Host and Origin."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from clock.asgi import Headers
from clock.broadcast.admission import HOST, ORIGIN

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# A response with status 405 must have this header.
ALLOW_HEADER: Final = (b"allow", b"GET, HEAD")


def refusal_status(scope: Any, *, any_host: bool = False) -> HTTPStatus | None:
    """Return the status with which to refuse a request, or None to serve it.

    Served are GET and HEAD to a Host in `DJANGO_ALLOWED_HOSTS`, or to any Host with `any_host`.
    """
    if not any_host and allowed_host(scope["headers"]) is None:
        return HTTPStatus.BAD_REQUEST
    if scope["method"] not in {"GET", "HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED
    return None


def has_valid_host_count(scope: Any) -> bool:
    """Return whether the request has exactly one Host header. In HTTP/1.0 it may have none."""
    count = len(header_values(scope["headers"], b"host"))
    return count == 1 or (count == 0 and scope.get("http_version") == "1.0")


def allowed_host(headers: Headers) -> tuple[str, str] | None:
    """Return the domain and port of the Host header, or None if it is not in `DJANGO_ALLOWED_HOSTS`."""
    hosts = header_values(headers, b"host")
    if len(hosts) == 1:
        domain, port = split_domain_port(hosts[0])
        if domain and validate_host(domain, settings.ALLOWED_HOSTS):
            return domain, port
    return None


def handshake_refusal(headers: Headers) -> str | None:
    """Return the reason to refuse a WebSocket handshake with these headers, or None to accept it.

    The Host must be in `DJANGO_ALLOWED_HOSTS`. The Origin must have the same host and port, or be in
    `CLOCK_ALLOWED_ORIGINS`. It may be missing only if `CLOCK_ALLOW_MISSING_ORIGIN` is set. The reason is in RFC 6455,
    section 10.2: the same-origin policy does not cover WebSockets, so without this check any web page could read this
    clock through its visitor's network.
    """
    host, origins = allowed_host(headers), header_values(headers, b"origin")
    if host is None:
        return HOST
    if not origins:
        return None if settings.CLOCK_ALLOW_MISSING_ORIGIN else ORIGIN
    if len(origins) > 1:
        return ORIGIN
    is_allowed = origins[0] in settings.CLOCK_ALLOWED_ORIGINS or _is_same_origin(origins[0], *host)
    return None if is_allowed else ORIGIN


def header_values(headers: Headers, name: bytes) -> list[str]:
    """Return all values of a header, in lower case."""
    return [value.decode("latin-1").strip().lower() for found, value in headers if found == name]


def _is_same_origin(origin: str, domain: str, port: str) -> bool:
    """Return whether the origin is that of a page from `domain` and `port`. An empty port is the scheme's default."""
    try:
        parts = urlsplit(origin)
        default_port = _DEFAULT_PORTS[parts.scheme]
        origin_domain, origin_port = split_domain_port(parts.netloc)
        return (
            origin == f"{parts.scheme}://{parts.netloc}"
            and origin_domain == domain
            and int(origin_port or default_port) == int(port or default_port)
        )
    except (KeyError, ValueError):  # another scheme, or not an origin
        return False
