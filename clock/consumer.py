"""The consumer: lets a client into the relay, and sees it out."""

import asyncio
import logging
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer

from clock.apps import worker_relay
from clock.contract import CLOSE_BROKEN_CONTRACT, BrokenContract, parse_rate

logger = logging.getLogger(__name__)


class ClockConsumer(AsyncConsumer):
    """One client of `/ws/clock/`, and a member of the relay.

    It has no channel of its own and no task that waits for ticks. A frame goes out through the server's ordinary
    `websocket.send`, one at a time: while one is under way, the client misses those that come.
    """

    channel_layer_alias = "none"  # names no layer, so Channels makes no channel, queue or subscription for it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection. Whatever ends it, the relay forgets it."""
        self._relay = worker_relay()
        self._sending: asyncio.Task[None] | None = None
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._relay.leave(self)
            if self._sending is not None:
                self._sending.cancel()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Call the handler, without the hop to a thread by which Channels tidies up a database that is not there."""
        await getattr(self, get_handler_name(message))(message)

    async def websocket_connect(self, _message: dict[str, Any]) -> None:
        """Accept the client at the rate it asks for, or say what is wrong with it."""
        await self.send({"type": "websocket.accept"})
        try:
            rate = parse_rate(self.scope["query_string"])
        except BrokenContract as broken:
            await self._close(str(broken))
        else:
            self._relay.join(self, rate)

    async def websocket_receive(self, _message: dict[str, Any]) -> None:
        """Close: a client of the clock sends nothing."""
        self._relay.leave(self)
        await self._close("a client sends nothing")

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        """See the client out."""
        raise StopConsumer

    async def _close(self, reason: str) -> None:
        await self.send({"type": "websocket.close", "code": CLOSE_BROKEN_CONTRACT, "reason": reason})

    def write(self, frame: str) -> bool:
        """Send the frame, unless the one before is still under way."""
        if self._sending is not None:
            return False
        self._sending = asyncio.get_running_loop().create_task(self._send_frame(frame))
        return True

    async def _send_frame(self, frame: str) -> None:
        try:
            await self.send({"type": "websocket.send", "text": frame})
        except Exception as error:  # noqa: BLE001 - each server has its own for a peer that has just gone
            logger.debug("a client has gone: %r", error)
            self._relay.leave(self)
        finally:
            self._sending = None
