"""The pages: the clock, the time as JSON, and whether this worker is alive."""

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
    if instant is None:
        answer = {"message": None, "at": None, "age": None, "bound": None}
        return JsonResponse(answer, status=503, headers={"Cache-Control": "no-store"})
    answer = {
        "message": format_time(int(instant.at), settings.CLOCK_TIME_ZONE),
        "at": round(instant.at, 3),
        "age": round(instant.age, 3),
        "bound": None,
    }
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


@require_safe
async def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this worker is alive, whether ticks come or not."""
    return HttpResponse("alive\n", content_type="text/plain", headers={"Cache-Control": "no-store"})
