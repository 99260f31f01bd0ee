"""What answers which path."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from clock.asgi import Application
from clock.broadcast.worker import this_worker
from clock.endpoints.access import has_one_host, is_allowed

# What stands for itself in a path, beside letters and digits: RFC 3986, section 3.3.
_PLAIN: Final = "/-._~!$&'()*+,;=:@"


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
        this_worker.relay.start()
        path = _path(scope)
        if not has_one_host(scope):
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
        this_worker.relay.start()
        stream = self._streams.get(_path(scope) or "")
        if stream is None or not is_allowed(scope["headers"]):
            await receive()
            await send({"type": "websocket.close"})
        else:
            served = stream(scope, receive, send)
            del scope  # as `ProtocolRouter`
            await served


def path_below_root(scope: Any) -> str:
    """Return the path of a request below `--root-path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _path(scope: Any) -> str | None:
    """Return the path below `--root-path`; None if a percent sign in it stands for what needs none.

    A load balancer has its rules for a path as it is sent, and here it comes decoded. So one path has one spelling.
    """
    sent: bytes | None = scope.get("raw_path")  # not every server has it
    if sent is not None and sent != quote(scope["path"], safe=_PLAIN).encode():
        return None
    return path_below_root(scope)


async def _refuse(status: HTTPStatus, send: Any) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
