"""Messages as they are read from Redis: msgpack maps without maps or lists in them.

Anyone with access to Redis can publish to a group. Nothing that is not a message may cost more than its bytes.
"""

from typing import Any, Final

from clock.redis.adapter.serializer import register_serializer, unpack

# Bytes of a message: a tick has about 200. A larger one is dropped unread.
MAX_MESSAGE_BYTES: Final = 4_096

# The `serializer_format` of a channel layer that reads its messages so.
FLAT_MAPS: Final = "clock.flat_maps"


def read_flat_map(data: bytes) -> dict[str | bytes, Any]:
    """Read a map without maps or lists in it: msgpack itself sets no useful limit to the depth of nesting.

    Raises:
        ValueError: the data is too large, or not such a map.
        Exception: it is not msgpack; msgpack raises several kinds, none of them RecursionError or MemoryError.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError("too large")
    maps: list[dict[str | bytes, Any]] = []
    unpack(data, object_hook=maps.append, max_array_len=0)
    (message,) = maps  # every map in the data is appended, and a list that holds one is refused
    return message


register_serializer(FLAT_MAPS, read_flat_map)
