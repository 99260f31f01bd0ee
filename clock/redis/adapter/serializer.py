"""Serializers for channels-redis that write msgpack, and read it with a function of our own."""

from collections.abc import Callable
from typing import Any, Final

from channels_redis.serializers import MsgPackSerializer, registry

# msgpack's own reader, with its options: https://msgpack-python.readthedocs.io
unpack: Final[Callable[..., Any]] = MsgPackSerializer.from_bytes


def register_serializer(name: str, read: Callable[[bytes], Any]) -> None:
    """Make a serializer available as a layer's `serializer_format`. It writes any message, and reads with `read`."""

    class Serializer(MsgPackSerializer):
        from_bytes = staticmethod(read)

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if self.crypter is None and not self.random_prefix_length:
                self.deserialize = read  # the same without two calls in between

    registry.register_serializer(name, Serializer)
