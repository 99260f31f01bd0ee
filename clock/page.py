"""Pages for programs: ASGI applications of their own, beside Django's request cycle, which costs five times as much."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from clock.routing import Application, own_host

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Answer(NamedTuple):
    """What is answered to a GET."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()  # beside the usual


def page(get: Callable[[Any], Answer]) -> Application:
    """Make an ASGI application of a function that answers a GET; it gets the request's scope.

    HEAD is GET without the body. Other methods are refused with 405, and a Host that is not among
    `DJANGO_ALLOWED_HOSTS` with 400.
    """

    @wraps(get)
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        if own_host(scope["headers"]) is None:
            answer = Answer(HTTPStatus.BAD_REQUEST, b"")
        elif scope["method"] not in {"GET", "HEAD"}:
            answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"")
        else:
            answer = get(scope)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            *_HEADERS,
            *answer.headers,
        ]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    return application
