"""`/clock/now`: the time as JSON. A page asks again and again, and a thousand ask at once when a worker has died."""

import json
from http import HTTPStatus
from typing import Any

from django.conf import settings

from clock.apps import worker_relay
from clock.contract import format_time
from clock.page import Answer, page


@page
def now(_scope: Any) -> Answer:
    """Tell the time as the ticker tells it, whatever this worker's own clock says.

    `at` is in milliseconds since the Unix epoch, with a fraction; `age` says how many milliseconds ago the last tick
    came; `bound` is how far off the time may be, in milliseconds, or null where that is not known. With no tick since
    the start, the answer is 503 and all of them are null.
    """
    answer: dict[str, str | float | None] = dict.fromkeys(("message", "at", "age", "bound"))
    instant = worker_relay().instant()
    if instant is None:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(answer).encode())
    answer["message"] = format_time(int(instant.at), settings.CLOCK_TIME_ZONE)
    answer["at"] = round(instant.at, 3)
    answer["age"] = round(instant.age, 3)
    return Answer(HTTPStatus.OK, json.dumps(answer).encode())
