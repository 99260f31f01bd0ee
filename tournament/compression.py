"""Compression of all that is served, and static files without what only their readers in an editor need.

ServeStatic streams a file in parts of 8 KiB, and Django's GZipMiddleware compresses each part of an asynchronous stream
for itself. What comes out are several gzip members in a row, of which Chromium and curl read the first and drop the
rest. The files are small, so each is put together first.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import rcssmin
import rjsmin
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

# Without comments and blanks the page is a third smaller. For debugging, the lines that a browser names are the file's.
_MINIFIERS = {} if settings.DEBUG else {"text/javascript": rjsmin.jsmin, "text/css": rcssmin.cssmin}


class _Gzip(GZipMiddleware):
    max_random_bytes = 0  # they would hide the length of a secret


class Compression:
    """Middleware that stands around ServeStatic and all else. No page holds a secret that its length could tell."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._get_response = get_response
        self._gzip = _Gzip(lambda _request: HttpResponse())
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        response = await self._get_response(request)
        if isinstance(response, StreamingHttpResponse) and response.is_async:
            response = await _whole(response)
        answer: HttpResponseBase = self._gzip.process_response(request, response)
        return answer


async def _whole(response: StreamingHttpResponse) -> HttpResponse:
    """Return the same in one piece."""
    body = b"".join([part async for part in response])
    response.close()
    whole = HttpResponse(body, status=response.status_code)
    del whole["Content-Type"]
    for name, value in response.items():
        whole[name] = value
    if response.status_code == HTTPStatus.OK:
        minify = _MINIFIERS.get(response.get("Content-Type", "").partition(";")[0])
        if minify:
            whole.content = minify(body)
        del whole["Content-Length"]  # another now, and for a HEAD not known
        del whole["Last-Modified"]  # the ETag says it
    return whole
