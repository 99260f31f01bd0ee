"""The channel layer: that of channels_redis, and a shorter way to hear a group.

Between Redis and whoever hears there is a parser, and no queue, task, timer or retry: a tick takes one turn of the
event loop instead of three, and half the time. A lost connection is said at once, where channels_redis logs a
traceback, sleeps a second, and then hands over all that has queued.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import hiredis
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.utils import create_pool
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)

# Takes messages that have come at the same time, the oldest first.
Take = Callable[[list[Any]], None]


async def hear(layer: Any, group: str, take: Take) -> None:
    """Hand each message to a group of any channel layer to `take`, for ever.

    Raises:
        RedisError, OSError: Redis is away. It can be tried again at once.
    """
    if isinstance(layer, TickLayer):
        await layer.hear(group, take)
    try:
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        while True:
            take([await layer.receive(channel)])
    finally:
        await layer.flush()


class TickLayer(RedisPubSubChannelLayer):
    """A channel layer over Redis pub/sub, set up as channels_redis' is."""

    async def hear(self, group: str, take: Take) -> None:
        """Hand each message to a group to `take`, from the event loop's own callback, until cancelled.

        It has a connection of its own for it. What is no message of a channel layer is dropped.

        Raises:
            RedisError, OSError: there is no connection, or it was lost.
        """
        channel, pool = self._channel_of(group)
        try:
            # redis-py sees to all that comes before the first message: TLS, passwords, Sentinel.
            connection = await pool.get_connection()
            # From here on what comes is ours to read. There is no other way to say so; a test holds this one.
            transport = connection._writer.transport  # noqa: SLF001
            messages = Messages(transport.get_protocol(), self.deserialize, take)
            transport.set_protocol(messages)
            await connection.send_command("SUBSCRIBE", channel)
            await messages.lost
        finally:
            await pool.aclose()

    def connect(self, group: str) -> Redis:
        """Return a client of the Redis that carries a group, with a connection of its own."""
        return Redis(connection_pool=self._channel_of(group)[1])

    def _channel_of(self, group: str) -> tuple[str, Any]:
        """Return the Redis channel of a group, and connections to where it is."""
        layer = self._get_layer()
        channel = layer._get_group_channel_name(group)  # noqa: SLF001 - the names are channels_redis' own affair
        return channel, create_pool(layer._get_shard(channel).host)  # noqa: SLF001


class Messages(asyncio.Protocol):
    """Reads the messages of a subscribed connection.

    `lost` ends with an error when there are no more to come.
    """

    def __init__(self, before: asyncio.BaseProtocol, deserialize: Callable[[bytes], Any], take: Take) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._before = before  # what redis-py writes through, and waits for the end of
        self._deserialize = deserialize
        self._take = take
        self._parser = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Hand on the messages. Answers to SUBSCRIBE are of no interest, unless they are errors."""
        self._parser.feed(data)
        messages = []
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, list) and reply[0] == b"message":
                try:
                    messages.append(self._deserialize(reply[2]))
                except Exception as error:  # noqa: BLE001 - whatever the serializer makes of what anybody may publish
                    logger.debug("dropped %r: %r", reply[2][:100], error)
            elif isinstance(reply, hiredis.ReplyError):
                self._end(ResponseError(str(reply)))
        if messages:
            self._take(messages)

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Have redis-py wait."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """Have redis-py go on."""
        self._before.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell redis-py, and whoever waits."""
        self._before.connection_lost(error)
        self._end(RedisConnectionError("Connection lost" if error is None else f"Connection lost: {error}"))

    def _end(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
