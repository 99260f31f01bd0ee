"""The consumer: lets a client into the relay if there is room, and sees it out."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from clock.asgi import DIRECT_WRITE, Application, Viewer, Write
from clock.broadcast.address import viewer_address
from clock.broadcast.admission import Full
from clock.broadcast.worker import this_worker
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, BrokenContract, parse_rate, text_of

logger = logging.getLogger(__name__)


class ClockConsumer(AsyncConsumer):
    """One client of `/ws/clock/`, and a viewer of the fan-out.

    It has no channel of its own and no task that waits for ticks. Where the server offers a viewer that writes straight
    to the socket, that takes its place. Elsewhere a frame goes out through `websocket.send`, one at a time: while one
    is under way, the client misses those that come.
    """

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Application:
        """Return an ASGI application with one consumer for each connection.

        Channels' own refers to the scope for as long as the client stays. That is weeks, and what it said in its
        handshake are kilobytes.
        """

        async def application(scope: Any, receive: Any, send: Any) -> None:
            served = cls(**initkwargs)(scope, receive, send)
            del scope
            await served

        return application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection. Whatever ends it, the relay forgets it.

        With no channel of its own it waits for its client alone. Channels' own loop, which waits for both, costs two
        tasks more for as long as the client stays, and a hop to a thread for every message.
        """
        self._fan_out = this_worker.relay.fan_out
        self._admission = this_worker.admission
        self._viewer: Viewer = scope.get("extensions", {}).get(DIRECT_WRITE, {}).get("viewer", self)
        self._sending: asyncio.Task[None] | None = None
        self.base_send = send
        try:
            await receive()  # "websocket.connect"
            await self._let_in(scope)
            del scope  # see `as_asgi`; others may still refer to it, so it stays as it is
            while (await receive())["type"] != "websocket.disconnect":
                self._fan_out.leave(self._viewer)
                await self._close(CLOSE_BROKEN_CONTRACT, "clients must not send messages")
        finally:
            self._fan_out.leave(self._viewer)
            self._admission.leave(self)
            if self._sending is not None:
                self._sending.cancel()

    async def _let_in(self, scope: Any) -> None:
        """Accept the client at the rate it asks for; or say why not, which only a client that is accepted can read."""
        await self.send({"type": "websocket.accept"})
        try:
            rate = parse_rate(scope["query_string"])
            self._admission.join(self, self._address(scope))
        except BrokenContract as broken:
            await self._close(CLOSE_BROKEN_CONTRACT, str(broken))
        except Full as full:
            await self._close(CLOSE_FULL, str(full))
        else:
            self._fan_out.join(self._viewer, rate)

    def _address(self, scope: Any) -> str | None:
        """Return the client's address, where that matters."""
        if not self._admission.is_by_address or not scope.get("client"):
            return None
        forwarded = (value for name, value in scope["headers"] if name == b"x-forwarded-for")
        return viewer_address(scope["client"][0], forwarded, settings.CLOCK_TRUSTED_PROXIES)

    async def _close(self, code: int, reason: str) -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    # --- As a viewer of the fan-out, where the server has none of its own ---

    def bind_writer(self, set_writer: Callable[[Viewer, Write], None]) -> None:
        """Have frames written one at a time."""
        set_writer(self, self._write)

    def send_rest(self, rest: bytes) -> None:
        """Never called: frames are taken whole."""

    def fail(self, error: OSError) -> None:
        """Never called: what goes wrong is found out later."""

    def _write(self, frame: bytes) -> int:
        """Send the frame, unless the one before is still under way."""
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_frame(text_of(frame)))
        return len(frame)

    async def _send_frame(self, text: str) -> None:
        try:
            await self.send({"type": "websocket.send", "text": text})
        except Exception as error:  # noqa: BLE001 - each server has its own for a peer that has just gone
            logger.debug("a client has gone: %r", error)
            self._fan_out.leave(self)
        finally:
            self._sending = None
