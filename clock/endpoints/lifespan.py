"""The relay starts with the server and stops with it, by ASGI's lifespan protocol.

Daphne itself has no lifespan, so under plain `daphne` the relay starts with the first request instead (see
clock/endpoints/routers.py).
"""

import signal
from typing import Any

from clock.asgi import server_status
from clock.broadcast.worker import this_worker


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Serve the lifespan of one server."""
    await receive()
    relay = this_worker.relay
    status = server_status(scope)
    if status is not None:
        relay.supervisor.give_up = status.give_up
    this_worker.relay.start()
    # A process that was stopped in the middle of a round must not go on with a frame that is old by now.
    signal.signal(signal.SIGCONT, lambda *_: relay.fan_out.look_up())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await relay.stop()
    await send({"type": "lifespan.shutdown.complete"})
