"""Who may open which stream: WebSocket paths, and the origins that browsers send."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

Application = Callable[[Any, Any, Any], Awaitable[None]]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class StreamRouter:
    """An ASGI application that hands a WebSocket to the application of its path.

    A stream is for the page's own origin and for the origins named in `CLOCK_ALLOWED_ORIGINS`. Others are refused, and
    so are unknown paths: the server answers the handshake with 403.
    """

    def __init__(self, streams: Mapping[str, Application]) -> None:
        self._streams = streams

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or refuse it."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        stream = self._streams.get(path)
        if stream is None or not is_allowed(scope["headers"]):
            await receive()
            await send({"type": "websocket.close"})
        else:
            await stream(scope, receive, send)


def is_allowed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a handshake with these headers may open a stream.

    Its Host must be among `DJANGO_ALLOWED_HOSTS`. Its Origin must have that very host and port, or be allowed by name;
    it may only be absent where `CLOCK_ALLOW_MISSING_ORIGIN` says so. RFC 6455, section 10.2, gives the reason: a
    WebSocket is not bound by the same-origin policy, so any page could read this clock with its visitor's network.
    """
    found: dict[bytes, list[str]] = {b"host": [], b"origin": []}
    for name, value in headers:
        if name in found:
            found[name].append(value.decode("latin-1").strip().lower())
    hosts, origins = found[b"host"], found[b"origin"]
    if len(hosts) != 1 or len(origins) > 1:
        return False
    domain, port = split_domain_port(hosts[0])
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return False
    if not origins:
        return bool(settings.CLOCK_ALLOW_MISSING_ORIGIN)
    return origins[0] in settings.CLOCK_ALLOWED_ORIGINS or _is_own(origins[0], domain, port)


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
