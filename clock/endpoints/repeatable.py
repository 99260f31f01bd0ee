"""Answers that depend on the request only: the server may repeat them without the application."""

from http import HTTPStatus
from typing import Any, Final

from clock.asgi import REPEATED_REQUEST, Application, Response

# What may be repeated. Errors are rare, and anybody can cause any number of different ones.
_STATUSES: Final = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)


class Repeatable:
    """An ASGI application that passes requests on to one whose answers to GET depend on the request only."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, and have its repetitions answered with the same response."""
        server = scope.get("extensions", {}).get(REPEATED_REQUEST)
        if server is None or scope["method"] != "GET":
            await self._application(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body = bytearray()

        async def send_and_keep(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body") and start["status"] in _STATUSES:
                    response = Response(HTTPStatus(start["status"]), list(start["headers"]), bytes(body))
                    server["answer_with"](lambda: response)
            await send(message)

        await self._application(scope, receive, send_and_keep)
