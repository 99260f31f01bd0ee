"""Endpoints for programs: small ASGI applications outside Django, whose request cycle costs five times as much."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from clock.asgi import REPEATED_REQUEST, Application, Response
from clock.endpoints.access import ALLOW_HEADER, refusal_status

logger = logging.getLogger(__name__)

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Content(NamedTuple):
    """What a GET returns."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()  # in addition to the usual ones


# Receives the ASGI scope of a request.
Handler = Callable[[Any], Content]


def endpoint(*, any_host: bool = False, is_repeatable: bool = False) -> Callable[[Handler], Application]:
    """Return a decorator that turns the handler of a GET into an ASGI application.

    HEAD returns the response of GET without its body. Other methods are refused with 405, and a Host that is not in
    `DJANGO_ALLOWED_HOSTS` with 400 unless `any_host` is set. If the handler raises an error, the status is 500. Of
    several failures in a row only the first is logged, because a whole crowd may send the request. The handler of a
    repeatable endpoint must not use the scope: the server may answer a client's further requests without one.
    """

    def decorate(handler: Handler) -> Application:
        is_failing = False

        def handle(scope: Any) -> Content:
            nonlocal is_failing
            try:
                content, is_failing = handler(scope), False
            except Exception:
                if not is_failing:
                    logger.exception("the endpoint %s failed", handler.__name__)
                content, is_failing = Content(HTTPStatus.INTERNAL_SERVER_ERROR, b""), True
            return content

        def answer_again() -> Response:
            return _complete(handle(None))

        @wraps(handler)
        async def application(scope: Any, _receive: Any, send: Any) -> None:
            refused = refusal_status(scope, any_host=any_host)
            status, headers, body = _complete(Content(refused, b"") if refused else handle(scope))
            if is_repeatable and not refused and scope["method"] == "GET":
                server = scope.get("extensions", {}).get(REPEATED_REQUEST)
                if server is not None:
                    server["answer_with"](answer_again)
            await send({"type": "http.response.start", "status": int(status), "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

        return application

    return decorate


def _complete(content: Content) -> Response:
    headers = [
        (b"content-type", content.content_type),
        (b"content-length", b"%d" % len(content.body)),
        *_HEADERS,
        *content.headers,
    ]
    if content.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(ALLOW_HEADER)
    return Response(content.status, headers, content.body)
