"""`/clock/now`: the time as JSON. Pages request it regularly, and a thousand at once after a worker has failed."""

import json
from http import HTTPStatus
from typing import Any

from django.conf import settings

from clock.broadcast.worker import current_worker
from clock.contract import format_time
from clock.endpoints.endpoint import Content, endpoint
from clock.page_version import HEADER, page_version


@endpoint(is_repeatable=True)
def now(_scope: Any) -> Content:
    """Return the time of the ticker's clock. The clock of this worker's host does not matter.

    `message` is the time as text. `at` is the time in milliseconds since the Unix epoch, with a fraction. `age` is the
    age of the last tick in milliseconds. `bound` is the highest possible difference between `at` and the ticker's
    clock, in milliseconds, or null if it is unknown; it is derived from round trips to Redis (clock.redis.comparison).
    `synchronised` says whether NTP or PTP disciplines the ticker's clock, or is null if its host does not say. Before
    the first tick the status is 503, and all of them are null. The header `Clock-Version` has the version of the page.
    """
    content: dict[str, str | float | None] = dict.fromkeys(("message", "at", "age", "bound", "synchronised"))
    status = HTTPStatus.SERVICE_UNAVAILABLE
    instant = current_worker.relay.instant()
    if instant is not None:
        status = HTTPStatus.OK
        content["message"] = format_time(int(instant.at), settings.CLOCK_TIME_ZONE)
        content["at"] = round(instant.at, 3)
        content["age"] = round(instant.age, 3)
        content["bound"] = None if instant.bound is None else round(instant.bound, 3)
        content["synchronised"] = instant.synchronised
    version = (HEADER.lower().encode(), page_version().encode())
    return Content(status, json.dumps(content).encode(), headers=(version,))
