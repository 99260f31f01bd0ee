"""Two baselines: the most obvious ways to build this clock with Channels. The clock itself uses neither.

daphne bench.subjects.baselines:loop     each connection formats and sends the time itself, every 10 ms, without Redis
daphne bench.subjects.baselines:group    each connection joins the group, and sends each tick that it receives
"""

import asyncio
import os
import time
from typing import Any
from zoneinfo import ZoneInfo

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
get_asgi_application()  # sets up Django, and with it the channel layer

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402

from clock.contract import GROUP, TICK_MS, format_frame  # noqa: E402

UTC = ZoneInfo("UTC")
TICK_S = TICK_MS / 1000


class LoopConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """Sends the time to one client, in a loop of its own."""

    async def connect(self) -> None:
        """Accept the client and start its loop."""
        await self.accept()
        self._loop = asyncio.create_task(self._send_ticks())

    async def disconnect(self, _code: int) -> None:
        """Stop the loop."""
        self._loop.cancel()

    async def _send_ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S - time.time() % TICK_S)
            await self.send(text_data=format_frame(time.time_ns() // 1_000_000 // TICK_MS * TICK_MS, UTC))


class GroupConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """Sends to one client what its group receives, as in Channels' tutorial."""

    groups = (GROUP,)

    async def clock_tick(self, event: dict[str, Any]) -> None:
        """Send the tick."""
        await self.send(text_data=event["frame"])


loop = LoopConsumer.as_asgi()
group = GroupConsumer.as_asgi()
