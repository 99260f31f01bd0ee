"""Who may ask for what: by method, and by the Host and the Origin that browsers send."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from clock.asgi import Headers

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# The header of an answer with 405: which methods there are.
ALLOW: Final = (b"allow", b"GET, HEAD")


def refusal(scope: Any, *, any_host: bool = False) -> HTTPStatus | None:
    """Return the status that refuses a request; None for a GET or a HEAD to one of `DJANGO_ALLOWED_HOSTS`.

    With `any_host` its Host may be any. To 405 belongs the header `ALLOW`.
    """
    if not any_host and own_host(scope["headers"]) is None:
        return HTTPStatus.BAD_REQUEST
    if scope["method"] not in {"GET", "HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED
    return None


def has_one_host(scope: Any) -> bool:
    """Return whether there is one Host. Before HTTP/1.1 there may be none."""
    count = len(values_of(scope["headers"], b"host"))
    return count == 1 or (count == 0 and scope.get("http_version") == "1.0")


def own_host(headers: Headers) -> tuple[str, str] | None:
    """Return the domain and port of a request's Host, or None if it is not among `DJANGO_ALLOWED_HOSTS`."""
    hosts = values_of(headers, b"host")
    if len(hosts) == 1:
        domain, port = split_domain_port(hosts[0])
        if domain and validate_host(domain, settings.ALLOWED_HOSTS):
            return domain, port
    return None


def is_allowed(headers: Headers) -> bool:
    """Return whether a handshake with these headers may open a stream.

    Its Host must be among `DJANGO_ALLOWED_HOSTS`. Its Origin must have that very host and port, or be allowed by name;
    it may only be absent where `CLOCK_ALLOW_MISSING_ORIGIN` says so. RFC 6455, section 10.2, gives the reason: a
    WebSocket is not bound by the same-origin policy, so any page could read this clock with its visitor's network.
    """
    host, origins = own_host(headers), values_of(headers, b"origin")
    if host is None or len(origins) > 1:
        return False
    if not origins:
        return bool(settings.CLOCK_ALLOW_MISSING_ORIGIN)
    return origins[0] in settings.CLOCK_ALLOWED_ORIGINS or _is_own(origins[0], *host)


def values_of(headers: Headers, name: bytes) -> list[str]:
    """Return the values of a header, in lower case."""
    return [value.decode("latin-1").strip().lower() for found, value in headers if found == name]


def _is_own(origin: str, domain: str, port: str) -> bool:
    """Return whether the origin is that of a page which `domain` and `port` (empty: the scheme's own) serve."""
    try:
        parts = urlsplit(origin)
        default_port = _DEFAULT_PORTS[parts.scheme]
        origin_domain, origin_port = split_domain_port(parts.netloc)
        return (
            origin == f"{parts.scheme}://{parts.netloc}"
            and origin_domain == domain
            and int(origin_port or default_port) == int(port or default_port)
        )
    except (KeyError, ValueError):  # another scheme; no origin at all
        return False
