"""The ASGI lifespan: the relay starts and stops with the server.

Daphne has no lifespan. Under plain `daphne` the relay starts with the first request (see clock/endpoints/routers.py).
"""

import signal
from typing import Any

from clock.asgi import server_status
from clock.broadcast.worker import current_worker


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Serve the lifespan of one server."""
    await receive()  # "lifespan.startup"
    relay = current_worker.relay
    status = server_status(scope)
    if status is not None:
        relay.supervisor.give_up = status.give_up
    current_worker.start()
    # A process that was stopped in the middle of a round must not continue with a frame that is old by now.
    signal.signal(signal.SIGCONT, lambda *_: relay.fan_out.skip_batch())
    await send({"type": "lifespan.startup.complete"})
    await receive()  # "lifespan.shutdown"
    await current_worker.stop()
    await send({"type": "lifespan.shutdown.complete"})
