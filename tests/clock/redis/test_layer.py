"""The channel layer as the settings set it up, over a Redis that lives in this process (fakeredis)."""

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
from tests.conftest import Client
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
    relay, member = Relay(lambda: receiving), Client()
    sending, receiving = make_layer("clock"), make_layer("clock")
    relay.fan_out.join(member, 100)
    relay.start()
    async with asyncio.timeout(10):
        at = 1_000
        while not member.got:  # until the relay is in the group, a tick goes nowhere
            at += 10
            await sending.group_send(GROUP, Tick(at, f"frame {at}").message())
            await asyncio.sleep(0.02)
        assert member.got[0].startswith("frame ")
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
