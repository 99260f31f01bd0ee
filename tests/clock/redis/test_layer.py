"""The channel layer: as the settings configure it, over a Redis in this process (fakeredis), and over a real one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from fakeredis import TcpFakeServer
from redis.asyncio import Redis

from clock.broadcast.relay import Relay
from clock.contract import GROUP, Tick
from clock.redis.layer import TickLayer, subscribe
from clock.redis.outage import UNAVAILABLE
from testbed.processes import Broker
from tests.clock.redis.test_flat_map import HOSTILE
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
        configured: Any = settings.CHANNEL_LAYERS
        (host,) = configured["default"]["CONFIG"]["hosts"]
        made.append(TickLayer(prefix=namespace, hosts=[{**host, "address": address}]))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def test_a_tick_goes_from_layer_to_layer(make_layer: Callable[[str], Any]) -> None:
    """The relay of one process writes what another process sends to the group to its viewers."""
    relay, viewer = Relay(lambda: receiving), FakeViewer()
    sending, receiving = make_layer("clock"), make_layer("clock")
    relay.fan_out.join(viewer)
    relay.start()
    async with asyncio.timeout(10):
        at = 1_000
        while not viewer.texts:  # until the relay is in the group, nobody receives a tick
            at += 10
            await sending.group_send(GROUP, Tick(at, f"frame {at}").message())
            await asyncio.sleep(0.02)
        assert viewer.texts[0].startswith("frame ")
    await relay.stop()


async def test_a_namespace_receives_only_its_own_messages(make_layer: Callable[[str], Any]) -> None:
    """Two clocks on one Redis do not receive each other's ticks."""
    here, there = make_layer("here"), make_layer("there")
    channels = [await layer.new_channel() for layer in (here, there)]
    for layer, channel in zip((here, there), channels, strict=True):
        await layer.group_add(GROUP, channel)
    await here.group_send(GROUP, {"from": "here"})
    await there.group_send(GROUP, {"from": "there"})
    async with asyncio.timeout(10):
        for layer, channel, name in zip((here, there), channels, ("here", "there"), strict=True):
            assert await layer.receive(channel) == {"from": name}


async def test_a_call_that_waits_for_redis_can_be_cancelled(make_layer: Callable[[str], Any]) -> None:
    """At any moment: with redis-py's own timeout on a socket, most cancellations are lost before Python 3.12."""
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


# --- Subscribing, on a real server ---

CHANNEL = f"clock__group__{GROUP}"


@pytest.fixture(scope="module")
def url(directory: Path) -> Iterator[str]:
    """The URL of a server for this module alone, whose connections are killed."""
    with Broker(directory) as broker:
        yield broker.url


@pytest.fixture
async def layer(url: str) -> AsyncIterator[TickLayer]:
    """A layer on that server."""
    layer = TickLayer(prefix="clock", hosts=[url])
    yield layer
    await layer.flush()


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    """A client of that server, which has no other clients in the end."""
    async with Redis.from_url(url) as redis:
        yield redis


async def subscribed(layer: TickLayer, received: list[Any]) -> asyncio.Task[None]:
    """Return a task that is subscribed to the group, and has received a message."""
    task = asyncio.create_task(layer.subscribe(GROUP, received.extend))
    async with asyncio.timeout(10):
        while not received:
            await layer.group_send(GROUP, {"number": 0})
            await asyncio.sleep(0.02)
    return task


@pytest.mark.parametrize("make", [TickLayer, RedisPubSubChannelLayer], ids=["ours", "channels-redis"])
async def test_what_is_not_a_message_is_dropped_and_counted(
    url: str, redis: Redis, caplog: pytest.LogCaptureFixture, make: Callable[..., Any]
) -> None:
    """By this layer, and by `subscribe` with another layer. What follows is received, and nothing is logged."""
    caplog.set_level("INFO")
    received, dropped = list[Any](), list[None]()
    layer = make(prefix="clock", hosts=[url])
    task = asyncio.create_task(subscribe(layer, GROUP, received.extend, lambda: dropped.append(None)))
    async with asyncio.timeout(20):
        while not received:
            await layer.group_send(GROUP, {"number": 0})
            await asyncio.sleep(0.02)
        received.clear()
        for _ in range(10):
            for data in HOSTILE.values():
                await redis.publish(CHANNEL, data)
        await layer.group_send(GROUP, {"number": 1})
        while {"number": 1} not in received:
            await asyncio.sleep(0.01)
    assert not task.done()
    # Another layer passes on whatever msgpack can read; the contract refuses it.
    others = len(received) - received.count({"number": 0}) - 1
    assert len(dropped) + others == 10 * len(HOSTILE)
    assert others == 0 or make is RedisPubSubChannelLayer
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await layer.flush()
    assert caplog.messages == []


async def test_too_large_a_message_ends_the_connection(layer: TickLayer, redis: Redis) -> None:
    """The subscription can be retried at once, and no connection is left. Redis itself disconnects at a megabyte."""
    for _ in range(3):
        task = await subscribed(layer, [])
        await redis.publish(CHANNEL, bytes(900_000))
        with pytest.raises(UNAVAILABLE, match="more than 64 KiB"):
            async with asyncio.timeout(5):
                await task
    async with asyncio.timeout(5):
        while len(await redis.client_list()) > 2:  # this client, and the layer's connection for publishing
            await asyncio.sleep(0.01)


async def test_a_lost_connection_is_reported_at_once(layer: TickLayer, redis: Redis) -> None:
    """The error means that Redis is unavailable, and the subscription can be retried at once."""
    for _ in range(2):
        task = await subscribed(layer, [])
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        with pytest.raises(UNAVAILABLE, match="Connection lost"):
            async with asyncio.timeout(1):
                await task


async def test_a_subscription_that_redis_refuses(url: str, redis: Redis) -> None:
    """The error of a user without the right to the channel says so."""
    await redis.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "+@all", "resetchannels")  # type: ignore[no-untyped-call]
    layer = TickLayer(prefix="clock", hosts=[url.replace("redis://", "redis://worker:secret@")])
    received: list[Any] = []
    with pytest.raises(UNAVAILABLE, match="NOPERM"):
        async with asyncio.timeout(10):
            await layer.subscribe(GROUP, received.extend)


async def test_no_connection_is_left_after_cancellation(layer: TickLayer, redis: Redis) -> None:
    """A subscription that is cancelled closes its connection."""
    task = await subscribed(layer, [])
    task.cancel()
    await asyncio.wait({task})
    await layer.flush()
    async with asyncio.timeout(10):
        while len(await redis.client_list()) > 1:
            await asyncio.sleep(0.01)
