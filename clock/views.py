"""The pages: the clock, and the same to be put into other pages."""

from typing import Any

from csp.decorators import csp_replace
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.html import json_script
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from clock.contract import DEFAULT_RATE, RATES
from clock.version import page_version
from clock.words import SCRIPT_WORDS, WORDS


class _Utf8Encoder(DjangoJSONEncoder):
    """Writes letters as they are: escaped, the words of some languages would make the page a sixth larger."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"ensure_ascii": False, "separators": (",", ":")})


@require_safe
async def clock(request: HttpRequest) -> HttpResponse:
    """Show the clock. The page differs by language only, and asks for the time itself."""
    return _show(request, embedded=False)


@require_safe
async def embed(request: HttpRequest) -> HttpResponse:
    """Show the clock without buttons. Pages of `CLOCK_FRAME_ANCESTORS`, and of nobody else, may put it into a frame."""
    show: Any = _show
    if settings.CLOCK_FRAME_ANCESTORS:
        show = xframe_options_exempt(csp_replace({"frame-ancestors": settings.CLOCK_FRAME_ANCESTORS})(_show))
    response: HttpResponse = show(request, embedded=True)
    return response


def _show(request: HttpRequest, *, embedded: bool) -> HttpResponse:
    language = _language(request)
    with translation.override(language):
        words = {name: str(text) for name, text in WORDS.items()}
        languages = {code: translation.get_language_info(code)["name_local"] for code, _ in settings.LANGUAGES}
        given = {
            "words": {name: words[name] for name in SCRIPT_WORDS},
            "zone": settings.CLOCK_TIME_ZONE.key,
            "rates": RATES,
            "rate": DEFAULT_RATE,
            "languages": languages,
            "version": page_version(),
        }
        direction = "rtl" if translation.get_language_bidi() else "ltr"
        shown = {
            "given": given,
            "script": json_script(given, "given", _Utf8Encoder),
            "words": words,
            "language": language,
            "direction": direction,
            "embedded": embedded,
        }
        response = render(request, "clock/clock.html", shown)
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-cache"  # a new version shows at once
    patch_vary_headers(response, ("Accept-Language",))
    return response


def _language(request: HttpRequest) -> str:
    """Return the language that `?lang=` asks for; or, if there is none or it is not one of ours, the browser's."""
    try:
        return translation.get_supported_language_variant(request.GET.get("lang", ""))
    except LookupError:
        return translation.get_language_from_request(request)
