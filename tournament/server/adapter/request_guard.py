"""Daphne's requests, without two ways to reach a path by another name.

With a header `Daphne-Root-Path` any client could set the path that the application is mounted at. That is for the
operator, with `--root-path`. And Autobahn parses a WebSocket's path a second time, as a URL, which has forms that a
request's target cannot have: it reads both `//any/ws/clock/` and `/ws/clock/;any` as `/ws/clock/`.

`tournament.asgi` installs this, so that it holds under plain Daphne and `manage.py runserver` too.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlparse

from daphne.http_protocol import WebRequest

ROOT_PATH_HEADER: Final = b"daphne-root-path"


def install() -> None:
    """Guard all requests that Daphne handles from now on. A second call has no effect."""
    process: Callable[[Any], Any] = WebRequest.process
    if process.__module__ != __name__:
        WebRequest.process = guarded(process)


def guarded(process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return Daphne's `WebRequest.process` with the guard in front of it."""

    def process_guarded(request: Any) -> Any:
        request.requestHeaders.removeHeader(ROOT_PATH_HEADER)
        if not is_ambiguous(request.uri, request.path):
            return process(request)
        is_websocket = request.requestHeaders.getRawHeaders(b"upgrade", [b""])[0].lower() == b"websocket"
        status = HTTPStatus.FORBIDDEN if is_websocket else HTTPStatus.NOT_FOUND
        request.basic_error(int(status), status.phrase.encode(), "There is nothing by this name.")
        return None

    return process_guarded


def is_ambiguous(target: bytes, path: bytes) -> bool:
    """Return whether a request's target, whose path is `path`, has a different path when it is parsed as a URL."""
    if not target.isascii():
        return False  # Daphne refuses it
    try:
        return urlparse(target.decode()).path != path.decode()
    except ValueError:
        return True
