"""The routers: which application serves which protocol and path."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from clock.asgi import Application
from clock.broadcast.admission import PATH
from clock.broadcast.worker import current_worker
from clock.endpoints.access import handshake_refusal, has_valid_host_count

# The characters of a path that need no percent-encoding, besides letters and digits: RFC 3986, section 3.3.
_UNENCODED: Final = "/-._~!$&'()*+,;=:@"


class ProtocolRouter:
    """An ASGI application that passes each connection to the application of its protocol.

    Unlike the one of Channels, it keeps no reference to the scope during a connection. A viewer stays for weeks, and
    the headers of its handshake take kilobytes.
    """

    def __init__(self, protocols: Mapping[str, Application]) -> None:
        self._protocols = protocols

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection.

        Raises:
            ValueError: the protocol is unknown. The ASGI specification asks for an error in that case.
        """
        application = self._protocols.get(scope["type"])
        if application is None:
            raise ValueError(f"no application for the protocol {scope['type']!r}")
        served = application(scope, receive, send)
        del scope
        await served


class HttpRouter:
    """An ASGI application that passes a request to the application of its path, or else to `otherwise`.

    A path with unnecessary percent-encoding, such as `/%63lock/`, gets 404. A request without a Host, or with several,
    gets 400.
    """

    def __init__(self, applications: Mapping[str, Application], otherwise: Application) -> None:
        self._applications = applications
        self._otherwise = otherwise

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        current_worker.start()
        path = _path(scope)
        if not has_valid_host_count(scope):
            await _respond(HTTPStatus.BAD_REQUEST, send)
        elif path is None:
            await _respond(HTTPStatus.NOT_FOUND, send)
        else:
            await self._applications.get(path, self._otherwise)(scope, receive, send)


class WebSocketRouter:
    """An ASGI application that passes a WebSocket handshake to the application of its path.

    Origins other than the page's own and those in `CLOCK_ALLOWED_ORIGINS` are refused. So are unknown paths and paths
    with unnecessary percent-encoding. The server then answers the handshake with 403.
    """

    def __init__(self, applications: Mapping[str, Application]) -> None:
        self._applications = applications

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or refuse it."""
        current_worker.start()
        application = self._applications.get(_path(scope) or "")
        refusal = PATH if application is None else handshake_refusal(scope["headers"])
        if application is None or refusal is not None:
            current_worker.refused[refusal or PATH] += 1
            await receive()
            await send({"type": "websocket.close"})
        else:
            served = application(scope, receive, send)
            del scope  # as in `ProtocolRouter`
            await served


def path_below_root(scope: Any) -> str:
    """Return the path of a request below `--root-path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _path(scope: Any) -> str | None:
    """Return the path below `--root-path`, or None if it was sent with unnecessary percent-encoding.

    The rules of a load balancer see the path as it was sent, but the application sees it decoded. So that nobody can
    bypass such a rule, each path has only one spelling.
    """
    sent: bytes | None = scope.get("raw_path")  # optional in ASGI
    if sent is not None and sent != quote(scope["path"], safe=_UNENCODED).encode():
        return None
    return path_below_root(scope)


async def _respond(status: HTTPStatus, send: Any) -> None:
    """Send a response without a body."""
    await send({"type": "http.response.start", "status": int(status), "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
