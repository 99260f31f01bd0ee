"""channels-redis' layer over pub/sub, with access to what it does not show: channels, connections, serializer."""

from collections.abc import Callable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.utils import create_pool


class GroupLayer(RedisPubSubChannelLayer):
    """A channel layer that tells which Redis channel carries a group, and on which server."""

    @property
    def read_message(self) -> Callable[[bytes], Any]:
        """The function that reads a message; it raises anything for what it cannot read."""
        read: Callable[[bytes], Any] = self._serializer.deserialize
        return read

    def channel_of(self, group: str) -> tuple[str, Any]:
        """Return the Redis channel of a group, and a new pool of connections to the server that carries it."""
        layer = self._get_layer()
        channel: str = layer._get_group_channel_name(group)
        return channel, create_pool(layer._get_shard(channel).host)
