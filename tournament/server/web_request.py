"""Daphne's requests, without two ways to reach a path by another name.

With a header `Daphne-Root-Path` any client could say below which path the application is: that is for whoever starts
the server, by `--root-path`. And a WebSocket's path is read anew by Autobahn, which knows the forms of a URL that a
request's target cannot have: to it, `//any/ws/clock/` and `/ws/clock/;any` are `/ws/clock/`.

`tournament.server` is Daphne too, and so is `manage.py runserver`.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlparse

from daphne.http_protocol import WebRequest

ROOT_PATH_HEADER: Final = b"daphne-root-path"


def install() -> None:
    """Have Daphne handle requests so, from now on."""
    process: Callable[[Any], Any] = WebRequest.process
    if process.__module__ != __name__:
        WebRequest.process = guarded(process)


def guarded(process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return Daphne's `WebRequest.process` with a guard before it."""

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
    """Return whether a request's target, whose path is `path`, has another one as a URL."""
    if not target.isascii():
        return False  # Daphne refuses it
    try:
        return urlparse(target.decode()).path != path.decode()
    except ValueError:
        return True
