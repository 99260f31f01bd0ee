"""The pages: the clock, and the same to be put into other pages."""

import functools
import gzip
import hashlib
from typing import Any, NamedTuple

from csp.decorators import csp_replace
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.html import json_script
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe
from servestatic.utils import parse_accept_encoding

from clock.contract import DEFAULT_RATE, RATES
from clock.page_version import page_version
from clock.texts import SCRIPT_WORDS, WORDS


class _Utf8Encoder(DjangoJSONEncoder):
    """Writes letters as they are: escaped, the words of some languages would make the page a sixth larger."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"ensure_ascii": False, "separators": (",", ":")})


@require_safe
async def clock(request: HttpRequest) -> HttpResponseBase:
    """Show the clock. The page differs by language only, and asks for the time itself."""
    return _show(request, embedded=False)


@require_safe
async def embed(request: HttpRequest) -> HttpResponseBase:
    """Show the clock without buttons. Pages of `CLOCK_FRAME_ANCESTORS`, and of nobody else, may put it into a frame."""
    show: Any = _show
    if settings.CLOCK_FRAME_ANCESTORS:
        show = xframe_options_exempt(csp_replace({"frame-ancestors": settings.CLOCK_FRAME_ANCESTORS})(show))
    response: HttpResponseBase = show(request, embedded=True)
    return response


class _Html(NamedTuple):
    """A page as it is sent: whole, compressed, and its ETag, which is that of both."""

    plain: bytes
    packed: bytes
    etag: str


def _show(request: HttpRequest, *, embedded: bool) -> HttpResponseBase:
    language = _language(request)
    render = _render.__wrapped__ if settings.DEBUG else _render
    html = render(language, embedded=embedded)
    packed = "gzip" in parse_accept_encoding(request.headers.get("Accept-Encoding", ""))
    response = HttpResponse(html.packed if packed else html.plain)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["ETag"] = html.etag
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-cache"  # a new version shows at once
    patch_vary_headers(response, ("Accept-Language", "Accept-Encoding"))
    return get_conditional_response(request, html.etag, None, response) or response


@functools.cache
def _render(language: str, *, embedded: bool) -> _Html:
    """Return the page in a language: the same for everybody, so it is rendered and compressed once.

    It holds no secret that the length of what is compressed could tell.
    """
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
        html = render_to_string("clock/clock.html", shown).encode()
    return _Html(html, gzip.compress(html, mtime=0), f'W/"{hashlib.sha256(html).hexdigest()[:16]}"')


def _language(request: HttpRequest) -> str:
    """Return the language that `?lang=` asks for; or, if there is none or it is not one of ours, the browser's."""
    try:
        return translation.get_supported_language_variant(request.GET.get("lang", ""))
    except LookupError:
        return translation.get_language_from_request(request)
