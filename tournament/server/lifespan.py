"""ASGI's lifespan protocol: the application starts with the server and stops with it. Daphne itself has none."""

import asyncio
import logging
from typing import Any

from clock.asgi import SERVER_STATUS, Application, ServerStatus

logger = logging.getLogger(__name__)


class Lifespan:
    """The lifespan of one application.

    The server does not wait for the application's answer to startup: it accepts connections meanwhile, and logs an
    error in the application instead of stopping.
    """

    def __init__(self, application: Application, status: ServerStatus) -> None:
        self._application = application
        self._status = status
        self._messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the application."""
        self._task = loop.create_task(self._run(), name="lifespan")
        self._messages.put_nowait({"type": "lifespan.startup"})

    async def stop(self) -> None:
        """Stop the application, and wait for its end."""
        if self._task is not None:
            self._messages.put_nowait({"type": "lifespan.shutdown"})
            await self._task

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "extensions": {SERVER_STATUS: {"status": self._status}},
        }

        async def send(_message: dict[str, Any]) -> None:
            """Ignore the answers."""

        try:
            await self._application(scope, self._messages.get, send)
        except Exception:
            logger.exception("the application ended its lifespan early")
