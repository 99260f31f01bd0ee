"""Endpoints for programs: small ASGI applications outside Django, whose request cycle costs five times as much."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from clock.asgi import Application
from clock.endpoints.access import ALLOW_HEADER, refusal_status

logger = logging.getLogger(__name__)

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Response(NamedTuple):
    """The response to a GET."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()  # in addition to the usual ones


# Receives the ASGI scope of a request.
Handler = Callable[[Any], Response]


def endpoint(*, any_host: bool = False) -> Callable[[Handler], Application]:
    """Return a decorator that turns the handler of a GET into an ASGI application.

    HEAD returns the response of GET without its body. Other methods are refused with 405, and a Host that is not in
    `DJANGO_ALLOWED_HOSTS` with 400 unless `any_host` is set. If the handler raises an error, the status is 500. Of
    several failures in a row only the first is logged, because a whole crowd may send the request.
    """

    def decorate(handler: Handler) -> Application:
        is_failing = False

        def handle(scope: Any) -> Response:
            nonlocal is_failing
            try:
                response, is_failing = handler(scope), False
            except Exception:
                if not is_failing:
                    logger.exception("%s failed", scope["path"])
                response, is_failing = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b""), True
            return response

        @wraps(handler)
        async def application(scope: Any, _receive: Any, send: Any) -> None:
            refused = refusal_status(scope, any_host=any_host)
            response = Response(refused, b"") if refused else handle(scope)
            headers = [
                (b"content-type", response.content_type),
                (b"content-length", b"%d" % len(response.body)),
                *_HEADERS,
                *response.headers,
            ]
            if response.status == HTTPStatus.METHOD_NOT_ALLOWED:
                headers.append(ALLOW_HEADER)
            body = b"" if scope["method"] == "HEAD" else response.body
            await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return application

    return decorate
