"""`/clock/now`: the time as JSON.

A page asks for it again and again, and a thousand pages ask at once when a worker has died. So it is an ASGI
application of its own, beside Django's request cycle and not within.
"""

import json
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings

from clock.apps import worker_relay
from clock.contract import format_time
from clock.routing import own_host

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


async def now(scope: Any, _receive: Any, send: Any) -> None:
    """Tell the time as the ticker tells it, whatever this worker's own clock says.

    `at` is in milliseconds since the Unix epoch, with a fraction; `age` says how many milliseconds ago the last tick
    came; `bound` is how far off the time may be, in milliseconds, or null where that is not known. With no tick since
    the start, the answer is 503 and all of them are null.
    """
    headers = [(b"content-type", b"application/json"), *_HEADERS]
    body = b""
    if own_host(scope["headers"]) is None:
        status = HTTPStatus.BAD_REQUEST
    elif scope["method"] not in {"GET", "HEAD"}:
        status = HTTPStatus.METHOD_NOT_ALLOWED
        headers.append((b"allow", b"GET, HEAD"))
    else:
        status, body = _answer()
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _answer() -> tuple[HTTPStatus, bytes]:
    answer: dict[str, str | float | None] = dict.fromkeys(("message", "at", "age", "bound"))
    instant = worker_relay().instant()
    if instant is None:
        return HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(answer).encode()
    answer["message"] = format_time(int(instant.at), settings.CLOCK_TIME_ZONE)
    answer["at"] = round(instant.at, 3)
    answer["age"] = round(instant.age, 3)
    return HTTPStatus.OK, json.dumps(answer).encode()
