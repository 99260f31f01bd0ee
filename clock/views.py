"""The page."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
async def clock(request: HttpRequest) -> HttpResponse:
    """Show the clock. The page is the same for everybody, and asks for the time itself."""
    return render(request, "clock/clock.html", {"zone": settings.CLOCK_TIME_ZONE.key})
