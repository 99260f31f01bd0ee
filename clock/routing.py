"""What answers which path, and who may open a stream: by the Host and the Origin that browsers send."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from clock.apps import start_relay

Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Collection[tuple[bytes, bytes]]  # as ASGI has them: names in lower case

_DEFAULT_PORTS = {"http": 80, "https": 443}

# What stands for itself in a path, beside letters and digits: RFC 3986, section 3.3.
_PLAIN: Final = "/-._~!$&'()*+,;=:@"

# The header of an answer with 405: which methods there are.
ALLOW: Final = (b"allow", b"GET, HEAD")


class ProtocolRouter:
    """An ASGI application that hands a connection to the application of its protocol.

    Unlike that of Channels, it keeps no reference to the scope while a connection lasts: a viewer stays for weeks, and
    what it said in its handshake need not.
    """

    def __init__(self, protocols: Mapping[str, Application]) -> None:
        self._protocols = protocols

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection.

        Raises:
            ValueError: the protocol is unknown; ASGI has a server take that for "not supported".
        """
        protocol = self._protocols.get(scope["type"])
        if protocol is None:
            raise ValueError(f"no application for the protocol {scope['type']!r}")
        served = protocol(scope, receive, send)
        del scope
        await served


class PageRouter:
    """An ASGI application that hands a request to the application of its path, and all others to `otherwise`.

    A path that was sent in another spelling than its own, such as `/%63lock/`, is answered with 404, and a request
    without a Host, or with several, with 400.
    """

    def __init__(self, pages: Mapping[str, Application], otherwise: Application) -> None:
        self._pages = pages
        self._otherwise = otherwise

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        start_relay()
        path = _path(scope)
        if not _has_one_host(scope):
            await _refuse(HTTPStatus.BAD_REQUEST, send)
        elif path is None:
            await _refuse(HTTPStatus.NOT_FOUND, send)
        else:
            await self._pages.get(path, self._otherwise)(scope, receive, send)


class StreamRouter:
    """An ASGI application that hands a WebSocket to the application of its path.

    A stream is for the page's own origin and for the origins named in `CLOCK_ALLOWED_ORIGINS`. Others are refused, and
    so are unknown paths, and those that were sent in another spelling: the server answers the handshake with 403.
    """

    def __init__(self, streams: Mapping[str, Application]) -> None:
        self._streams = streams

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or refuse it."""
        start_relay()
        stream = self._streams.get(_path(scope) or "")
        if stream is None or not is_allowed(scope["headers"]):
            await receive()
            await send({"type": "websocket.close"})
        else:
            served = stream(scope, receive, send)
            del scope  # as `ProtocolRouter`
            await served


def refusal(scope: Any, *, any_host: bool = False) -> HTTPStatus | None:
    """Return the status that refuses a request; None for a GET or a HEAD to one of `DJANGO_ALLOWED_HOSTS`.

    With `any_host` its Host may be any. To 405 belongs the header `ALLOW`.
    """
    if not any_host and own_host(scope["headers"]) is None:
        return HTTPStatus.BAD_REQUEST
    if scope["method"] not in {"GET", "HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED
    return None


def path_below_root(scope: Any) -> str:
    """Return the path of a request below `--root-path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


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


def _path(scope: Any) -> str | None:
    """Return the path below `--root-path`; None if a percent sign in it stands for what needs none.

    A load balancer has its rules for a path as it is sent, and here it comes decoded. So one path has one spelling.
    """
    sent: bytes | None = scope.get("raw_path")  # not every server has it
    if sent is not None and sent != quote(scope["path"], safe=_PLAIN).encode():
        return None
    return path_below_root(scope)


def _has_one_host(scope: Any) -> bool:
    """Return whether there is one Host. Before HTTP/1.1 there may be none."""
    count = len(_values(scope["headers"], b"host"))
    return count == 1 or (count == 0 and scope.get("http_version") == "1.0")


async def _refuse(status: HTTPStatus, send: Any) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


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
