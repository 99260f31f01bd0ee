"""The channel layer: that of channels_redis, and a shorter way to hear a group.

Between Redis and whoever hears there is a parser, and no queue, task, timer or retry: a tick takes one turn of the
event loop instead of three, and half the time. A lost connection is said at once, where channels_redis logs a
traceback, sleeps a second, and then hands over all that has queued.

Anyone with access to Redis can publish to a group. What is no message is dropped and counted, whatever it is, and
nothing of it is ever formatted.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import hiredis
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.serializers import MsgPackSerializer, registry
from channels_redis.utils import create_pool
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from clock.redis.outage import UNAVAILABLE

logger = logging.getLogger(__name__)

# Takes messages that have come at the same time, the oldest first.
Take = Callable[[list[Any]], None]

# Is told of each message that cannot be read.
Drop = Callable[[], None]

# Bytes of a message: a tick has about 200. What is larger is dropped unread.
MAX_MESSAGE: Final = 4_096

# Bytes from Redis that are no whole reply yet. With more than that, somebody publishes what cannot be a message.
MAX_UNPARSED: Final = 65_536

# Seconds after a message that another layer cannot read: a flood of these must not keep the event loop busy.
UNREADABLE_PAUSE: Final = 0.001

# The name of the serializer below.
FLAT_MAPS: Final = "clock.flat_maps"


async def subscribe(layer: Any, group: str, take: Take, drop: Drop = lambda: None) -> None:
    """Hand each message to a group of any channel layer to `take`, for ever, and call `drop` for what is none.

    Raises:
        RedisError, OSError: Redis is away. It can be tried again at once.
    """
    if isinstance(layer, TickLayer):
        await layer.subscribe(group, take, drop)
    try:
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        while True:
            try:
                message = await layer.receive(channel)
            except UNAVAILABLE:
                raise
            except Exception as error:  # noqa: BLE001 - whatever another layer makes of what anyone may publish
                logger.debug("dropped what cannot be read: %s", type(error).__name__)
                drop()
                await asyncio.sleep(UNREADABLE_PAUSE)
            else:
                take([message])
    finally:
        await layer.flush()


def read_flat_map(data: bytes) -> dict[str | bytes, Any]:
    """Read a map without maps or lists in it: msgpack itself sets no useful limit to how deep they are nested.

    Raises:
        ValueError: it is none, or too large.
    """
    if len(data) > MAX_MESSAGE:
        raise ValueError("too large")
    maps: list[dict[str | bytes, Any]] = []
    _unpack(data, object_hook=maps.append, max_array_len=0)
    (message,) = maps  # every map that is in there comes here, and a list that holds one is refused
    return message


_unpack: Final[Callable[..., Any]] = MsgPackSerializer.from_bytes


class FlatMapSerializer(MsgPackSerializer):
    """Writes any message, and reads those that are flat maps."""

    from_bytes = staticmethod(read_flat_map)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.crypter is None and not self.random_prefix_length:
            self.deserialize = read_flat_map  # the same by a shorter way


registry.register_serializer(FLAT_MAPS, FlatMapSerializer)


class TickLayer(RedisPubSubChannelLayer):
    """A channel layer over Redis pub/sub, set up as channels_redis' is, for messages that are flat maps."""

    def __init__(self, *args: Any, serializer_format: str = FLAT_MAPS, **options: Any) -> None:
        super().__init__(*args, serializer_format=serializer_format, **options)

    async def subscribe(self, group: str, take: Take, drop: Drop = lambda: None) -> None:
        """Hand each message to a group to `take`, from the event loop's own callback, until cancelled.

        It has a connection of its own for it. What is no message is dropped, and `drop` called.

        Raises:
            RedisError, OSError: there is no connection, or it was lost, or it carries what is no reply of Redis.
            Exception: `take` or `drop` raised it.
        """
        channel, pool = self._channel_of(group)
        try:
            # redis-py sees to all that comes before the first message: TLS, passwords, Sentinel.
            connection = await pool.get_connection()
            # From here on what comes is ours to read. There is no other way to say so; a test holds this one.
            transport = connection._writer.transport  # noqa: SLF001
            messages = Messages(transport, self._serializer.deserialize, take, drop)
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

    `lost` ends with an error when there are no more to come; the connection is closed then.
    """

    def __init__(
        self, transport: asyncio.Transport, deserialize: Callable[[bytes], Any], take: Take, drop: Drop
    ) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost.add_done_callback(_look_at)
        self._transport = transport
        self._before = transport.get_protocol()  # what redis-py writes through, and waits for the end of
        self._deserialize = deserialize
        self._take = take
        self._drop = drop
        self._parser = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Hand on the messages, or end the connection."""
        if self.lost.done():
            return
        try:
            self._read(data)
        except hiredis.HiredisError as error:
            self._end(RedisConnectionError(f"Redis sent what is no reply: {error}"))
        except Exception as error:  # noqa: BLE001 - whoever waits for `lost` gets to know, and not the event loop
            self._end(error)

    def _read(self, data: bytes) -> None:
        parser, deserialize, messages = self._parser, self._deserialize, []
        parser.feed(data)
        while (reply := parser.gets()) is not False:
            if isinstance(reply, list):
                if len(reply) == 3 and reply[0] == b"message":  # noqa: PLR2004 - that word, the channel, the message
                    try:
                        messages.append(deserialize(reply[2]))
                    except Exception as error:  # noqa: BLE001 - whatever the serializer makes of it
                        # The error may hold the message, so its text is not asked for.
                        logger.debug("dropped what cannot be read: %s", type(error).__name__)
                        self._drop()
            elif isinstance(reply, hiredis.ReplyError):
                self._end(ResponseError(str(reply)))
        if messages:
            self._take(messages)
        elif parser.len() > MAX_UNPARSED:
            self._end(RedisConnectionError(f"hung up on a message of more than {MAX_UNPARSED // 1024} KiB"))

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
            self._transport.abort()


def _look_at(lost: "asyncio.Future[None]") -> None:
    """Take note of an error that nobody waits for, or asyncio would log it."""
    if not lost.cancelled():
        lost.exception()
