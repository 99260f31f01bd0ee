"""Two baselines: the ways to build such a clock that come to mind first. The clock itself uses nothing of this.

daphne bench.baselines:loop     each connection formats and sends the time by itself, every 10 ms, without Redis
daphne bench.baselines:group    each connection is a member of the group, and sends on each tick that the layer brings
"""

import asyncio
import os
import time
from typing import Any
from zoneinfo import ZoneInfo

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
get_asgi_application()  # sets Django up, and with it the channel layer

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402

from clock.contract import GROUP, TICK_MS, format_frame  # noqa: E402

UTC = ZoneInfo("UTC")


class LoopConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """Tells the time to one client, in a loop of its own."""

    async def connect(self) -> None:
        """Accept the client and start its loop."""
        await self.accept()
        self._loop = asyncio.create_task(self._tell())

    async def disconnect(self, _code: int) -> None:
        """Stop the loop."""
        self._loop.cancel()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TICK_MS / 1000 - time.time() % (TICK_MS / 1000))
            await self.send(text_data=format_frame(time.time_ns() // 1_000_000 // TICK_MS * TICK_MS, UTC))


class GroupConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """Passes on to one client what the group is sent, as Channels' own tutorial has it."""

    groups = (GROUP,)

    async def clock_tick(self, event: dict[str, Any]) -> None:
        """Send the tick."""
        await self.send(text_data=event["frame"])


loop = LoopConsumer.as_asgi()
group = GroupConsumer.as_asgi()
