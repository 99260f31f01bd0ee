"""The pages: the clock, the time as JSON, and whether this worker is alive."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from clock.apps import worker_relay
from clock.contract import format_time


@require_safe
async def clock(request: HttpRequest) -> HttpResponse:
    """Show the clock. The page is the same for everybody, and asks for the time itself."""
    return render(request, "clock/clock.html", {"zone": settings.CLOCK_TIME_ZONE.key})


@require_safe
async def now(_request: HttpRequest) -> JsonResponse:
    """Tell the time as the ticker tells it, whatever this worker's own clock says.

    `at` is in milliseconds since the Unix epoch, with a fraction; `age` says how many milliseconds ago the last tick
    came; `bound` is how far off the time may be, in milliseconds, or null where that is not known. With no tick since
    the start, the answer is 503 and all of them are null.
    """
    instant = worker_relay().instant()
    answer: dict[str, str | float | None] = dict.fromkeys(("message", "at", "age", "bound"))
    if instant is not None:
        answer["message"] = format_time(int(instant.at), settings.CLOCK_TIME_ZONE)
        answer["at"] = round(instant.at, 3)
        answer["age"] = round(instant.age, 3)
    status = HTTPStatus.OK if instant is not None else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse(answer, status=status, headers={"Cache-Control": "no-store"})


@require_safe
async def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this worker is alive, whether ticks come or not."""
    return HttpResponse("alive\n", content_type="text/plain", headers={"Cache-Control": "no-store"})
