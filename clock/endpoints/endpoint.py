"""Pages for programs: ASGI applications of their own, beside Django's request cycle, which costs five times as much."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from clock.asgi import Application
from clock.endpoints.access import ALLOW, refusal

logger = logging.getLogger(__name__)

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Answer(NamedTuple):
    """What is answered to a GET."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()  # beside the usual


def page(get: Callable[[Any], Answer], *, any_host: bool = False) -> Application:
    """Make an ASGI application of a function that answers a GET; it gets the request's scope.

    HEAD is GET without the body. Other methods are refused with 405, and a Host that is not among
    `DJANGO_ALLOWED_HOSTS` with 400, unless `any_host` is set. An error in `get` is answered with 500, and logged: the
    first of several in a row, for a crowd may ask.
    """
    is_failing = False

    def answer_get(scope: Any) -> Answer:
        nonlocal is_failing
        try:
            answer, is_failing = get(scope), False
        except Exception:
            if not is_failing:
                logger.exception("%s failed", scope["path"])
            answer, is_failing = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b""), True
        return answer

    @wraps(get)
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        refused = refusal(scope, any_host=any_host)
        answer = Answer(refused, b"") if refused else answer_get(scope)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            *_HEADERS,
            *answer.headers,
        ]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(ALLOW)
        await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    return application
