"""The channel layer: that of channels-redis, and a shorter way to subscribe to a group.

A tick takes one iteration of the event loop instead of three, and half the time. A lost connection is reported at once,
where channels-redis logs a traceback, sleeps a second, and then delivers everything that has queued.
"""

import asyncio
import logging
from typing import Any, Final

from redis.asyncio import Redis

from clock.redis.adapter.connection import take_over
from clock.redis.adapter.group_layer import GroupLayer
from clock.redis.closing import close
from clock.redis.flat_map import FLAT_MAPS
from clock.redis.messages import Drop, Messages, Receive
from clock.redis.outage import UNAVAILABLE

logger = logging.getLogger(__name__)

# Seconds to wait after a message that another layer cannot read: a flood of these must not keep the event loop busy.
UNREADABLE_PAUSE_S: Final = 0.001


def _ignore() -> None:
    """Drop a message without counting it."""


async def subscribe(layer: Any, group: str, receive: Receive, drop: Drop = _ignore) -> None:
    """Pass each message to a group of any channel layer to `receive`, forever. Call `drop` for what is not one.

    Raises:
        RedisError, OSError: Redis is unavailable. It can be retried at once.
    """
    if isinstance(layer, TickLayer):
        await layer.subscribe(group, receive, drop)
    try:
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        while True:
            try:
                message = await layer.receive(channel)
            except UNAVAILABLE:
                raise
            except Exception as error:  # noqa: BLE001 - another layer may raise anything for what anyone may publish
                logger.debug("dropped an unreadable message: %s", type(error).__name__)
                drop()
                await asyncio.sleep(UNREADABLE_PAUSE_S)
            else:
                receive([message])
    finally:
        await layer.flush()


class TickLayer(GroupLayer):
    """A channel layer over Redis pub/sub, configured as channels-redis' own, for messages that are flat maps."""

    def __init__(self, *args: Any, serializer_format: str = FLAT_MAPS, **options: Any) -> None:
        super().__init__(*args, serializer_format=serializer_format, **options)

    async def subscribe(self, group: str, receive: Receive, drop: Drop = _ignore) -> None:
        """Pass each message to a group to `receive`, from the event loop's own callback, until cancelled.

        The subscription has a connection of its own. What is not a message is dropped, and `drop` called.

        Raises:
            RedisError, OSError: there is no connection, or it was lost, or it carries what is not a reply of Redis.
            Exception: `receive` or `drop` raised it.
        """
        channel, pool = self.channel_of(group)
        try:
            connection = await pool.get_connection()
            messages = take_over(connection, lambda transport: Messages(transport, self.read_message, receive, drop))
            await connection.send_command("SUBSCRIBE", channel)
            await messages.lost
        finally:
            await close(pool)

    def connect(self, group: str) -> Redis:
        """Return a client of the Redis that carries a group, with a connection of its own."""
        return Redis(connection_pool=self.channel_of(group)[1])
