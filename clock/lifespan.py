"""The relay starts with the server and stops with it, by ASGI's lifespan protocol.

Daphne itself has no lifespan, so under plain `daphne` the relay starts with the first request instead.
"""

from typing import Any

from clock.apps import worker_relay


async def lifespan(_scope: Any, receive: Any, send: Any) -> None:
    """Serve the lifespan of one server."""
    await receive()
    relay = worker_relay()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await relay.stop()
    await send({"type": "lifespan.shutdown.complete"})
