"""The messages of a subscribed connection, with replies of any shape."""

from typing import Any
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError, ResponseError

from clock.redis.flat_map import read_flat_map
from clock.redis.messages import MAX_UNPARSED_BYTES, Messages


class Wire:
    """A connection whose bytes the test sends."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.dropped = 0
        self.transport = Mock()
        self.messages = Messages(self.transport, read_flat_map, self.take, self._drop)

    def take(self, messages: list[Any]) -> None:
        """Keep messages; raise an error if one says so."""
        self.got += messages
        if {"fail": True} in messages:
            raise KeyError("a defect")

    def _drop(self) -> None:
        self.dropped += 1

    def receive(self, data: bytes) -> None:
        """Pass data to the protocol."""
        self.messages.data_received(data)


def publication(payload: bytes) -> bytes:
    """Return a message as Redis sends it."""
    return b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n" % (len(payload), payload)


@pytest.mark.parametrize(
    "reply",
    [
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n*0\r\n",
        b"*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
        b":1\r\n",
        b"+OK\r\n",
        b"%0\r\n",
        b"_\r\n",
    ],
)
async def test_other_replies_are_ignored(reply: bytes) -> None:
    """Replies that are not messages have no effect, not even those that Redis never sends."""
    wire = Wire()
    wire.receive(reply + publication(b"\x80"))
    assert wire.got == [{}]
    assert not wire.messages.lost.done()


@pytest.mark.parametrize("payload", [b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n:1\r\n", b"*3\r\n$7\r\nmessage\r\n_\r\n_\r\n"])
async def test_a_message_without_bytes_is_dropped(payload: bytes) -> None:
    """It counts as one that cannot be read."""
    wire = Wire()
    wire.receive(payload + publication(b"\x80"))
    assert (wire.got, wire.dropped) == ([{}], 1)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ConnectionError, "not a reply"),
        (b"*99999999999999999999\r\n", ConnectionError, "not a reply"),
        (b"-NOPERM no\r\n", ResponseError, "NOPERM no"),
    ],
    ids=["no protocol", "no length", "an error"],
)
async def test_what_ends_the_connection(data: bytes, error: type[Exception], words: str) -> None:
    """What is not a reply, and an error, end the connection once; no exception reaches the event loop."""
    wire = Wire()
    wire.receive(data)
    wire.receive(data)
    wire.transport.abort.assert_called_once_with()
    with pytest.raises(error, match=words):
        await wire.messages.lost


async def test_what_is_not_parsed_is_limited() -> None:
    """A message of less than the limit is received and dropped; a larger one ends the connection."""
    wire = Wire()
    for payload in (bytes(MAX_UNPARSED_BYTES - 1_000), bytes(MAX_UNPARSED_BYTES + 1_000)):
        data = publication(payload)
        for start in range(0, len(data), 1_000):
            wire.receive(data[start : start + 1_000])
    assert wire.dropped == 1
    with pytest.raises(ConnectionError, match="more than 64 KiB"):
        await wire.messages.lost


async def test_an_error_of_the_receiver_ends_the_connection() -> None:
    """Whoever awaits `lost` gets the error, and not the event loop's log."""
    wire = Wire()
    wire.receive(publication(b"\x81\xa4fail\xc3"))
    wire.transport.abort.assert_called_once_with()
    with pytest.raises(KeyError, match="a defect"):
        await wire.messages.lost
