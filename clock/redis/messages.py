"""The messages of a subscribed connection, parsed in the event loop's own callback.

Between Redis and the receiver there is a parser, and no queue, task, timer or retry.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)

# Receives messages that have arrived at the same time, the oldest first.
Receive = Callable[[list[Any]], None]

# Is called for each message that cannot be read.
Drop = Callable[[], None]

# Bytes from Redis that are not a whole reply yet. With more than that, somebody publishes what cannot be a message.
MAX_UNPARSED_BYTES: Final = 65_536


class Messages(asyncio.Protocol):
    """Reads the messages of a subscribed connection, which redis-py has set up: see `take_over`.

    `lost` ends with an error when no more will arrive; the connection is closed then. What cannot be read is dropped,
    and never formatted: anyone with access to Redis can publish it.
    """

    def __init__(
        self, transport: asyncio.Transport, read_message: Callable[[bytes], Any], receive: Receive, drop: Drop
    ) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost.add_done_callback(_retrieve_error)
        self._transport = transport
        self._previous: Any = transport.get_protocol()  # redis-py's: it writes through it, and waits for its end
        self._read_message = read_message
        self._receive = receive
        self._drop = drop
        self._parser = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Pass on the messages, or end the connection."""
        if self.lost.done():
            return
        try:
            self._read(data)
        except hiredis.HiredisError as error:
            self._end(RedisConnectionError(f"Redis sent what is not a reply: {error}"))
        except Exception as error:  # noqa: BLE001 - for whoever awaits `lost`, and not for the event loop
            self._end(error)

    def _read(self, data: bytes) -> None:
        parser, read_message, messages = self._parser, self._read_message, []
        parser.feed(data)
        while (reply := parser.gets()) is not False:
            if isinstance(reply, list):
                if len(reply) == 3 and reply[0] == b"message":  # noqa: PLR2004 - that word, the channel, the message
                    try:
                        messages.append(read_message(reply[2]))
                    except Exception as error:  # noqa: BLE001 - a reader may raise anything
                        # The error may hold the message, so its text is not formatted.
                        logger.debug("dropped an unreadable message: %s", type(error).__name__)
                        self._drop()
            elif isinstance(reply, hiredis.ReplyError):
                self._end(ResponseError(str(reply)))
        if messages:
            self._receive(messages)
        elif parser.len() > MAX_UNPARSED_BYTES:
            limit_kib = MAX_UNPARSED_BYTES // 1024
            self._end(RedisConnectionError(f"disconnected on a message of more than {limit_kib} KiB"))

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Have redis-py wait."""
        self._previous.pause_writing()

    def resume_writing(self) -> None:
        """Have redis-py continue."""
        self._previous.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell redis-py, and whoever awaits `lost`."""
        self._previous.connection_lost(error)
        self._end(RedisConnectionError("Connection lost" if error is None else f"Connection lost: {error}"))

    def _end(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
            self._transport.abort()


def _retrieve_error(lost: "asyncio.Future[None]") -> None:
    """Retrieve the error of a future that nobody awaits any more: asyncio would log it."""
    if not lost.cancelled():
        lost.exception()
