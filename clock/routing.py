"""What answers which path, and who may open a stream: by the Host and the Origin that browsers send."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Collection[tuple[bytes, bytes]]  # as ASGI has them: names in lower case

_DEFAULT_PORTS = {"http": 80, "https": 443}


class PageRouter:
    """An ASGI application that hands a request to the application of its path, and all others to `otherwise`."""

    def __init__(self, pages: Mapping[str, Application], otherwise: Application) -> None:
        self._pages = pages
        self._otherwise = otherwise

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self._pages.get(_path(scope), self._otherwise)(scope, receive, send)


class StreamRouter:
    """An ASGI application that hands a WebSocket to the application of its path.

    A stream is for the page's own origin and for the origins named in `CLOCK_ALLOWED_ORIGINS`. Others are refused, and
    so are unknown paths: the server answers the handshake with 403.
    """

    def __init__(self, streams: Mapping[str, Application]) -> None:
        self._streams = streams

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or refuse it."""
        stream = self._streams.get(_path(scope))
        if stream is None or not is_allowed(scope["headers"]):
            await receive()
            await send({"type": "websocket.close"})
        else:
            await stream(scope, receive, send)


def own_host(headers: Headers) -> tuple[str, str] | None:
    """Return the domain and port of a request's Host, or None if it is not among `DJANGO_ALLOWED_HOSTS`."""
    hosts = _values(headers, b"host")
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
    host, origins = own_host(headers), _values(headers, b"origin")
    if host is None or len(origins) > 1:
        return False
    if not origins:
        return bool(settings.CLOCK_ALLOW_MISSING_ORIGIN)
    return origins[0] in settings.CLOCK_ALLOWED_ORIGINS or _is_own(origins[0], *host)


def _path(scope: Any) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _values(headers: Headers, name: bytes) -> list[str]:
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
