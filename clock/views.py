"""The pages: the clock, and the clock for embedding in other pages."""

import functools
import gzip
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

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

from clock.contract import RATES
from clock.page_version import page_version
from clock.texts import SCRIPT_TEXTS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable


class _Utf8Encoder(DjangoJSONEncoder):
    """Leaves non-ASCII letters unescaped. Escaped, the texts of some languages would make the page a sixth larger."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"ensure_ascii": False, "separators": (",", ":")})


@require_safe
async def clock(request: HttpRequest) -> HttpResponseBase:
    """Return the clock. The page depends on the language only; its scripts fetch the time."""
    return _respond(request, embedded=False)


@require_safe
async def embed(request: HttpRequest) -> HttpResponseBase:
    """Return the clock without buttons. Only pages of `CLOCK_FRAME_ANCESTORS` may show it in a frame."""
    respond: Callable[..., HttpResponseBase] = _respond
    if settings.CLOCK_FRAME_ANCESTORS:
        respond = xframe_options_exempt(csp_replace({"frame-ancestors": settings.CLOCK_FRAME_ANCESTORS})(respond))
    return respond(request, embedded=True)


class _Html(NamedTuple):
    """A rendered page: uncompressed and compressed, and the ETag of both."""

    plain: bytes
    compressed: bytes
    etag: str


def _respond(request: HttpRequest, *, embedded: bool) -> HttpResponseBase:
    language = _language(request)
    render = _render.__wrapped__ if settings.DEBUG else _render
    html = render(language, embedded=embedded)
    is_compressed = "gzip" in parse_accept_encoding(request.headers.get("Accept-Encoding", ""))
    response = HttpResponse(html.compressed if is_compressed else html.plain)
    if is_compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["ETag"] = html.etag
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-cache"  # browsers revalidate, so a new version appears at once
    patch_vary_headers(response, ("Accept-Language", "Accept-Encoding"))
    return get_conditional_response(request, html.etag, None, response) or response


@functools.cache
def _render(language: str, *, embedded: bool) -> _Html:
    """Return the page in a language. It is the same for every visitor, so it is rendered and compressed once.

    It contains no secret, so the length of the compressed page can reveal none.
    """
    with translation.override(language):
        texts = {name: str(text) for name, text in TEXTS.items()}
        languages = {code: translation.get_language_info(code)["name_local"] for code, _ in settings.LANGUAGES}
        data = {
            "texts": {name: texts[name] for name in SCRIPT_TEXTS},
            "zone": settings.CLOCK_TIME_ZONE.key,
            "rates": RATES,
            "rate": settings.CLOCK_PAGE_RATE.requested,
            "languages": languages,
            "version": page_version(),
        }
        direction = "rtl" if translation.get_language_bidi() else "ltr"
        shown = {
            "data": data,
            "script_data": json_script(data, "page-data", _Utf8Encoder),
            "texts": texts,
            "language": language,
            "direction": direction,
            "embedded": embedded,
        }
        html = render_to_string("clock/clock.html", shown).encode()
    return _Html(html, gzip.compress(html, mtime=0), f'W/"{hashlib.sha256(html).hexdigest()[:16]}"')


def _language(request: HttpRequest) -> str:
    """Return the language of `?lang=` if it is supported, else the one that the browser prefers."""
    try:
        return translation.get_supported_language_variant(request.GET.get("lang", ""))
    except LookupError:
        return translation.get_language_from_request(request)
