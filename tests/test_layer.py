"""The channel layer as the settings set it up, over a Redis that lives in this process (fakeredis)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from fakeredis import TcpFakeServer

from clock.contract import GROUP, Tick
from clock.layer import TickLayer
from clock.relay import Relay
from tests.conftest import Client
from tournament.broker import free_port


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
