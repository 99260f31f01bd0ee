"""Messages are flat maps; everything else that anyone may publish is refused."""

import msgpack
import pytest

from clock.redis.flat_map import MAX_MESSAGE_BYTES, read_flat_map

# What anyone with access to Redis can publish, and what is not a message.
HOSTILE = {
    "nested lists": b"\x91" * 1_000 + b"\x01",
    "more nested lists": b"\x91" * 4_000 + b"\x01",
    "nested maps": b"\x81\xa1a" * 1_000 + b"\x01",
    "more nested maps": b"\x81\xa1a" * 1_300 + b"\x01",
    "a map in a map": msgpack.packb({"at": 10, "frame": "x", "more": {}}),
    "two maps": msgpack.packb({}) * 2,
    "a list in a map": msgpack.packb({"at": 10, "frame": "x", "more": [1]}),
    "a list": msgpack.packb([10, "x"]),
    "an empty list": b"\x90",
    "a map of 4,000,000,000 fields": b"\xdf\xee\x6b\x28\x00",
    "a text of 4 GB": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "a list of 4,000,000,000": b"\xdd\xff\xff\xff\xff",
    "a number": b"\x01",
    "nothing": b"",
    "nil": b"\xc0",
    "no format": b"\xc1",
    "half a map": msgpack.packb({"at": 10, "frame": "x"})[:-1],
    "no UTF-8": b"\x81\xa1a\xa1\xff",
    "a number as key": b"\x81\x01\x01",
    "a map as key": b"\x81\x80\x01",
    "an invalid date": b"\x81\xa1a\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "an extension": msgpack.packb(msgpack.ExtType(5, b"")),
    "text": b"rubbish",
    "a large message": msgpack.packb({"at": 10, "frame": "x" * MAX_MESSAGE_BYTES}),
    "zeros": bytes(60_000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_a_flat_map_is_refused(data: bytes) -> None:
    """The error is an ordinary one, not that memory or the stack is exhausted."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - msgpack raises several kinds
        read_flat_map(data)
    assert not isinstance(caught.value, RecursionError | MemoryError)


def test_a_message_of_the_largest_size_is_read() -> None:
    """It may have values of all kinds, without nesting."""
    message = {"a": 1, "b": -1.5, "c": None, "d": True, "e": b"x", "f": ""}
    message["f"] = "x" * (MAX_MESSAGE_BYTES - len(msgpack.packb(message)) - 2)
    assert len(data := msgpack.packb(message)) == MAX_MESSAGE_BYTES
    assert read_flat_map(data) == message
