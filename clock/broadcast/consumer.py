"""The consumer: one WebSocket connection, from its admission to its end."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from clock.asgi import DIRECT_WRITE, Application, Viewer, Write
from clock.broadcast.address import viewer_address
from clock.broadcast.admission import REQUEST, Full
from clock.broadcast.worker import current_worker
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, BrokenContract, frame_text, parse_stream_request

logger = logging.getLogger(__name__)


class ClockConsumer(AsyncConsumer):
    """One client of `/ws/clock/`.

    It has no channel and no task that waits for ticks. If the server offers a viewer that writes straight to the socket
    (the ASGI extension `DIRECT_WRITE`), the fan-out writes to that. On other servers the consumer is the viewer itself:
    it sends frames by `websocket.send`, one at a time. Frames that arrive while one is being sent are dropped.
    """

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Application:
        """Return an ASGI application that creates one consumer per connection.

        Unlike the one of Channels it keeps no reference to the scope. A viewer stays for weeks, and the headers of its
        handshake take kilobytes.
        """

        async def application(scope: Any, receive: Any, send: Any) -> None:
            served = cls(**initkwargs)(scope, receive, send)
            del scope
            await served

        return application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection. However it ends, the fan-out and the admission forget the viewer.

        As there is no channel, it waits for the client alone. The loop of Channels waits for both, which costs two more
        tasks for the whole connection and a hop to a thread per message.
        """
        self._fan_out = current_worker.relay.fan_out
        self._admission = current_worker.admission
        self._viewer: Viewer = scope.get("extensions", {}).get(DIRECT_WRITE, {}).get("viewer", self)
        self._sending: asyncio.Task[None] | None = None
        self.base_send = send
        try:
            await receive()  # "websocket.connect"
            await self._admit(scope)
            del scope  # see `as_asgi`; the server may still use it, so it stays unchanged
            while (await receive())["type"] != "websocket.disconnect":
                self._fan_out.leave(self._viewer)
                await self._close(CLOSE_BROKEN_CONTRACT, "clients must not send messages")
        finally:
            self._fan_out.leave(self._viewer)
            self._admission.release(self)
            if self._sending is not None:
                self._sending.cancel()

    async def _admit(self, scope: Any) -> None:
        """Accept the client with the stream that it requests, or close the connection with the reason.

        The handshake is accepted in any case: a browser shows a close code and its reason only after that.
        """
        await self.send({"type": "websocket.accept"})
        try:
            request = parse_stream_request(scope["query_string"])
            self._admission.admit(self, self._address(scope), request)
        except BrokenContract as error:
            current_worker.refused[REQUEST] += 1
            await self._close(CLOSE_BROKEN_CONTRACT, str(error))
        except Full as error:
            current_worker.refused[error.reason] += 1
            await self._close(CLOSE_FULL, str(error))
        else:
            self._fan_out.join(self._viewer, request)

    def _address(self, scope: Any) -> str | None:
        """Return the client's address if a limit depends on it."""
        if not self._admission.needs_addresses or not scope.get("client"):
            return None
        forwarded = (value for name, value in scope["headers"] if name == b"x-forwarded-for")
        return viewer_address(scope["client"][0], forwarded, settings.CLOCK_TRUSTED_PROXIES)

    async def _close(self, code: int, reason: str) -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    # --- The `Viewer` protocol, for servers that offer no viewer ---

    def bind_writer(self, set_writer: Callable[[Viewer, Write], None]) -> None:
        """Register the function that sends one frame at a time."""
        set_writer(self, self._write)

    def send_rest(self, rest: bytes) -> None:
        """Do nothing. It is never called, because `_write` always takes the whole frame."""

    def fail(self, error: OSError) -> None:
        """Do nothing. It is never called, because `_write` raises no OSError."""

    def _write(self, frame: bytes) -> int:
        """Start sending the frame, or drop it while the previous one is being sent."""
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_frame(frame_text(frame)))
        return len(frame)

    async def _send_frame(self, text: str) -> None:
        started_at = time.thread_time()
        try:
            await self.send({"type": "websocket.send", "text": text})
        except Exception as error:  # noqa: BLE001 - each server raises an error of its own for a closed connection
            logger.debug("a client has disconnected: %r", error)
            self._fan_out.leave(self)
        finally:
            self._sending = None
            self._fan_out.counts.writing_s += time.thread_time() - started_at
