"""An ASGI application that echoes what it receives, for the conformance cases."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from autobahn.exception import Disconnected

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Accept every WebSocket, and answer text with the same text and bytes with the same bytes."""
    if scope["type"] != "websocket":
        return
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            # A valid message that a broken frame follows at once is received when the connection is closed already.
            with contextlib.suppress(Disconnected):
                await send({**message, "type": "websocket.send"})
