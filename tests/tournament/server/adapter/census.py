"""The clock without the garbage collector, and a page that says how many objects its connections have left behind."""

import gc
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from daphne.http_protocol import WebRequest

from clock.broadcast.consumer import ClockConsumer
from tournament.asgi import application as clock
from tournament.server.adapter.http_channel import HttpChannel
from tournament.server.adapter.websocket import WebSocket

CLASSES: Final = (WebSocket, HttpChannel, WebRequest, ClockConsumer)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer `/census` with the number of objects by class; pass anything else on to the clock."""
    if scope["type"] != "http" or scope["path"] != "/census":
        await clock(scope, receive, send)
        return
    gc.disable()  # from the first census on
    counts = Counter(type(one).__name__ for one in gc.get_objects() if issubclass(type(one), CLASSES))
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(counts).encode()})
