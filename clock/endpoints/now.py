"""`/clock/now`: the time as JSON. A page asks again and again, and a thousand ask at once when a worker has died."""

import json
from http import HTTPStatus
from typing import Any

from django.conf import settings

from clock.broadcast.worker import this_worker
from clock.contract import format_time
from clock.endpoints.endpoint import Answer, page
from clock.page_version import HEADER, page_version


@page
def now(_scope: Any) -> Answer:
    """Tell the time as the ticker tells it, whatever this worker's own clock says.

    `at` is in milliseconds since the Unix epoch, with a fraction; `age` says how many milliseconds ago the last tick
    came; `bound` is how far off the ticker's clock `at` may be, in milliseconds, or null where that is not known: it is
    proved by round trips to Redis (see clock.redis.comparison). `synchronised` is whether something keeps the ticker's
    clock right, or null where its host does not say. With no tick since the start, the answer is 503 and all of them
    are null. A header names the version of the page.
    """
    told: dict[str, str | float | None] = dict.fromkeys(("message", "at", "age", "bound", "synchronised"))
    status = HTTPStatus.SERVICE_UNAVAILABLE
    instant = this_worker.relay.instant()
    if instant is not None:
        status = HTTPStatus.OK
        told["message"] = format_time(int(instant.at), settings.CLOCK_TIME_ZONE)
        told["at"] = round(instant.at, 3)
        told["age"] = round(instant.age, 3)
        told["bound"] = None if instant.bound is None else round(instant.bound, 3)
        told["synchronised"] = instant.synchronised
    version = (HEADER.lower().encode(), page_version().encode())
    return Answer(status, json.dumps(told).encode(), headers=(version,))
