"""The channel layer as the settings set it up, over a Redis that lives in this process (fakeredis)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgpack
import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from fakeredis import TcpFakeServer
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, ResponseError

from clock.broadcast.relay import Relay
from clock.contract import GROUP, Tick
from clock.redis.layer import MAX_MESSAGE, MAX_UNPARSED, Messages, TickLayer, read_flat_map, subscribe
from clock.redis.outage import UNAVAILABLE
from testbed.processes import Broker
from tests.conftest import FakeViewer
from tournament.up.broker import free_port


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a fake Redis."""
    server = TcpFakeServer(("127.0.0.1", free_port()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def make_layer(address: str) -> AsyncIterator[Callable[[str], Any]]:
    """Make layers as the settings do, each with a namespace."""
    made = []

    def make(namespace: str) -> Any:
        (host,) = settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"]
        made.append(TickLayer(prefix=namespace, hosts=[{**host, "address": address}]))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def test_a_tick_goes_from_layer_to_layer(make_layer: Callable[[str], Any]) -> None:
    """What one process sends to the group, the relay of another writes to its members."""
    relay, member = Relay(lambda: receiving), FakeViewer()
    sending, receiving = make_layer("clock"), make_layer("clock")
    relay.fan_out.join(member, 100)
    relay.start()
    async with asyncio.timeout(10):
        at = 1_000
        while not member.texts:  # until the relay is in the group, a tick goes nowhere
            at += 10
            await sending.group_send(GROUP, Tick(at, f"frame {at}").message())
            await asyncio.sleep(0.02)
        assert member.texts[0].startswith("frame ")
    await relay.stop()


async def test_a_namespace_hears_only_its_own(make_layer: Callable[[str], Any]) -> None:
    """Two clocks on one Redis do not hear each other."""
    here, there = make_layer("here"), make_layer("there")
    channels = [await layer.new_channel() for layer in (here, there)]
    for layer, channel in zip((here, there), channels, strict=True):
        await layer.group_add(GROUP, channel)
    await here.group_send(GROUP, {"from": "here"})
    await there.group_send(GROUP, {"from": "there"})
    async with asyncio.timeout(10):
        for layer, channel, name in zip((here, there), channels, ("here", "there"), strict=True):
            assert await layer.receive(channel) == {"from": name}


async def test_what_waits_for_redis_can_be_cancelled(make_layer: Callable[[str], Any]) -> None:
    """Whenever the cancellation comes: with redis-py's own timeout on a socket, most are lost before Python 3.12."""
    layer = make_layer("clock")
    await layer.group_send(GROUP, {})

    async def send_for_ever() -> None:
        while True:
            await layer.group_send(GROUP, {})

    for number in range(30):
        task = asyncio.create_task(send_for_ever())
        await asyncio.sleep(0.001 + number * 0.0003)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done
        assert task.cancelled()


# --- Hearing a group ---


async def heard(layer: TickLayer, publish: Callable[[], Any], got: list[Any]) -> asyncio.Task[None]:
    """Return a task that hears the group, and has."""
    task = asyncio.create_task(layer.subscribe(GROUP, got.extend))
    async with asyncio.timeout(10):
        while not got:
            await publish()
            await asyncio.sleep(0.02)
    return task


CHANNEL = f"clock__group__{GROUP}"

# What anyone with access to Redis can publish, and what is no message.
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
    "a large message": msgpack.packb({"at": 10, "frame": "x" * MAX_MESSAGE}),
    "zeros": bytes(60_000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_flat_map_is_refused(data: bytes) -> None:
    """With an ordinary error."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - msgpack raises what it likes
        read_flat_map(data)
    assert not isinstance(caught.value, RecursionError | MemoryError)


def test_a_message_of_the_largest_size_is_read() -> None:
    """All kinds of values, and no nesting."""
    message = {"a": 1, "b": -1.5, "c": None, "d": True, "e": b"x", "f": ""}
    message["f"] = "x" * (MAX_MESSAGE - len(msgpack.packb(message)) - 2)
    assert len(data := msgpack.packb(message)) == MAX_MESSAGE
    assert read_flat_map(data) == message


@pytest.mark.parametrize("own", [True, False], ids=["ours", "channels_redis'"])
async def test_what_is_no_message_is_counted(directory: Path, caplog: pytest.LogCaptureFixture, *, own: bool) -> None:
    """By this layer, and where another is set up; what follows is heard, and nothing is logged."""
    caplog.set_level("INFO")
    got, dropped = list[Any](), list[None]()
    with Broker(directory) as broker:
        layer = (TickLayer if own else RedisPubSubChannelLayer)(prefix="clock", hosts=[broker.url])
        task = asyncio.create_task(subscribe(layer, GROUP, got.extend, lambda: dropped.append(None)))
        async with Redis.from_url(broker.url) as redis, asyncio.timeout(20):
            while not got:
                await layer.group_send(GROUP, {"number": 0})
                await asyncio.sleep(0.02)
            got.clear()
            for _ in range(10):
                for data in HOSTILE.values():
                    await redis.publish(CHANNEL, data)
            await layer.group_send(GROUP, {"number": 1})
            while {"number": 1} not in got:
                await asyncio.sleep(0.01)
            assert not task.done()
            # Another layer hands on whatever msgpack reads; the contract refuses it.
            assert len(dropped) + len(got) - got.count({"number": 0}) - 1 == 10 * len(HOSTILE)
            assert not own or len(got) - got.count({"number": 0}) == 1
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        await layer.flush()
    assert caplog.messages == []


async def test_what_is_larger_than_can_be_a_message_ends_the_connection(directory: Path) -> None:
    """Before all of it is here. It can be heard again at once."""
    with Broker(directory) as broker:
        layer = TickLayer(prefix="clock", hosts=[broker.url])
        async with Redis.from_url(broker.url) as redis:
            for _ in range(3):
                got: list[Any] = []
                task = await heard(layer, lambda: layer.group_send(GROUP, {"at": 10}), got)
                await redis.publish(CHANNEL, bytes(20_000_000))
                with pytest.raises(UNAVAILABLE, match="more than 64 KiB"):
                    async with asyncio.timeout(5):
                        await task
            async with asyncio.timeout(5):
                while len(await redis.client_list()) > 2:  # this one, and the one that publishes
                    await asyncio.sleep(0.01)
        await layer.flush()


async def test_a_lost_connection_is_said_at_once(directory: Path) -> None:
    """By an error that means Redis is away; and it can be heard again at once."""
    with Broker(directory) as broker:
        layer = TickLayer(prefix="clock", hosts=[broker.url])
        for _ in range(2):
            got: list[Any] = []
            task = await heard(layer, lambda: layer.group_send(GROUP, {}), got)
            async with Redis.from_url(broker.url) as redis:
                await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            with pytest.raises(UNAVAILABLE, match="Connection lost"):
                async with asyncio.timeout(1):
                    await task
        await layer.flush()


async def test_a_subscription_that_is_refused(directory: Path) -> None:
    """A user without the right to the channel: Redis says so, and so does the error."""
    with Broker(directory) as broker:
        async with Redis.from_url(broker.url) as redis:
            await redis.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "+@all", "resetchannels")
        address = broker.url.replace("redis://", "redis://worker:secret@")
        layer = TickLayer(prefix="clock", hosts=[address])
        with pytest.raises(UNAVAILABLE, match="NOPERM"):
            async with asyncio.timeout(10):
                await layer.subscribe(GROUP, list)


async def test_nothing_is_left_when_it_is_cancelled(directory: Path) -> None:
    """No connection stays open in Redis."""
    with Broker(directory) as broker:
        layer = TickLayer(prefix="clock", hosts=[broker.url])
        task = await heard(layer, lambda: layer.group_send(GROUP, {}), [])
        task.cancel()
        await asyncio.wait({task})
        await layer.flush()
        async with Redis.from_url(broker.url) as redis, asyncio.timeout(10):
            while len(await redis.client_list()) > 1:
                await asyncio.sleep(0.01)


# --- Replies of any shape ---


class Wire:
    """A connection whose bytes come from the test."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.dropped = 0
        self.transport = Mock()
        self.messages = Messages(self.transport, read_flat_map, self.take, self._drop)

    def take(self, messages: list[Any]) -> None:
        """Keep messages, unless one says to fail."""
        self.got += messages
        if {"fail": True} in messages:
            raise KeyError("a defect")

    def _drop(self) -> None:
        self.dropped += 1

    def receive(self, data: bytes) -> None:
        """Have data come in."""
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
async def test_other_replies_are_of_no_interest(reply: bytes) -> None:
    """Also those that Redis never sends."""
    wire = Wire()
    wire.receive(reply + publication(b"\x80"))
    assert wire.got == [{}]
    assert not wire.messages.lost.done()


@pytest.mark.parametrize("payload", [b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n:1\r\n", b"*3\r\n$7\r\nmessage\r\n_\r\n_\r\n"])
async def test_a_message_that_is_no_bytes_is_counted(payload: bytes) -> None:
    """As one that cannot be read."""
    wire = Wire()
    wire.receive(payload + publication(b"\x80"))
    assert (wire.got, wire.dropped) == ([{}], 1)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ConnectionError, "no reply"),
        (b"*99999999999999999999\r\n", ConnectionError, "no reply"),
        (b"-NOPERM no\r\n", ResponseError, "NOPERM no"),
    ],
    ids=["no protocol", "no length", "an error"],
)
async def test_what_ends_the_connection(data: bytes, error: type[Exception], words: str) -> None:
    """Cleanly, once, and nothing of it reaches the event loop."""
    wire = Wire()
    wire.receive(data)
    wire.receive(data)
    wire.transport.abort.assert_called_once_with()
    with pytest.raises(error, match=words):
        await wire.messages.lost


async def test_what_is_not_parsed_yet_is_bounded() -> None:
    """A message of a little less than the limit is waited for, and dropped."""
    wire = Wire()
    for payload in (bytes(MAX_UNPARSED - 1_000), bytes(MAX_UNPARSED + 1_000)):
        data = publication(payload)
        for start in range(0, len(data), 1_000):
            wire.receive(data[start : start + 1_000])
    assert wire.dropped == 1
    with pytest.raises(ConnectionError, match="more than 64 KiB"):
        await wire.messages.lost


async def test_an_error_of_who_takes_is_theirs() -> None:
    """Whoever waits for the end of the connection gets it; nothing is lost in the event loop's own log."""
    wire = Wire()
    wire.receive(publication(b"\x81\xa4fail\xc3"))
    wire.transport.abort.assert_called_once_with()
    with pytest.raises(KeyError, match="a defect"):
        await wire.messages.lost
