"""The relay: what it passes to the viewers, and how it recovers when ticks stop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from redis.exceptions import ConnectionError

from clock.broadcast import relay as module
from clock.broadcast.relay import Relay
from clock.contract import GROUP, Tick
from tests.conftest import FakeViewer, settle

# The start of a second.
START_MS = 1_795_351_680_000


def tick(number: int) -> Tick:
    """Return the tick with this number, counted from `START_MS`. Its frame is the number."""
    return Tick(START_MS + number * 10, str(number))


async def send(layer: InMemoryChannelLayer, *ticks: Tick) -> None:
    """Publish ticks, all before the relay can run."""
    for one in ticks:
        await layer.group_send(GROUP, one.message())


async def start(relay: Relay) -> None:
    """Start the relay, and let it join the group."""
    relay.start()
    await settle()


async def test_each_tick_goes_to_every_viewer(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """One message from the layer becomes one frame per viewer, with the text of the ticker."""
    viewers = [FakeViewer(), FakeViewer()]
    for viewer in viewers:
        relay.fan_out.join(viewer)
    await start(relay)
    for number in range(3):
        await send(layer, tick(number))
        await settle()
    assert [viewer.texts for viewer in viewers] == [["0", "1", "2"]] * 2


async def test_the_group_has_one_member_for_all_viewers(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Viewers join the fan-out, and only the relay joins the group."""
    await start(relay)
    for _ in range(100):
        relay.fan_out.join(FakeViewer())
        relay.start()
    await settle()
    assert len(layer.groups[GROUP]) == 1
    assert len(layer.channels) <= 1


async def test_latest_wins(relay: Relay) -> None:
    """Of ticks that arrive together, because the worker was busy, only the newest is written."""
    viewer = FakeViewer()
    relay.fan_out.join(viewer)
    relay._on_messages([tick(number).message() for number in range(20)])
    relay._on_messages([tick(number).message() for number in range(10)])
    relay._on_messages([tick(20).message(), {}, tick(7).message()])
    assert viewer.texts == ["19", "20"]


async def test_invalid_messages_are_dropped(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Every client of Redis can publish to the group. The valid ticks still arrive."""
    viewer = FakeViewer()
    relay.fan_out.join(viewer)
    await start(relay)
    for message in (
        {},
        {"type": "clock.tick"},
        {"at": "soon", "frame": 7},
        {"at": START_MS, "frame": "x", "term": "0"},
    ):
        await layer.group_send(GROUP, message)
    await send(layer, tick(1))
    await settle()
    assert viewer.texts == ["1"]
    assert relay.invalid == 4


def test_the_time_advances_between_ticks() -> None:
    """It is the last tick plus the time since then on the monotonic clock. Before the first tick there is none."""
    now = [100.0]
    relay = Relay(lambda: None, now=lambda: now[0])
    assert relay.instant() is None
    relay.tick_filter.accept(tick(0))
    now[0] += 0.125
    assert relay.instant() == (START_MS + 125, 125, None, None)


# --- Recovery ---


async def test_a_silent_subscription_is_replaced(layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that looks open can be dead. The log has one line for the silence, and one for its end."""
    caplog.set_level("INFO", "clock")
    relay = Relay(lambda: layer, silence_timeout_s=0.02)
    viewer = FakeViewer()
    relay.fan_out.join(viewer)
    await start(relay)
    await send(layer, tick(0))
    await settle()
    for _ in range(3):  # the subscription is lost, without an error
        await layer.flush()
        await wait_for(lambda: GROUP in layer.groups)
    async with asyncio.timeout(10):
        while len(viewer.texts) < 2:
            await send(layer, tick(1))  # repeated, as the relay may be resubscribing just now
            await settle()
    await relay.stop()
    assert viewer.texts == ["0", "1"]
    assert caplog.messages == [
        "waiting for the first tick",
        "receiving ticks",
        "no ticks for 0.02 s: resubscribing",
        "receiving ticks",
    ]


class FlakyLayer:
    """A layer whose Redis is unavailable for the first three attempts."""

    def __init__(self, layer: InMemoryChannelLayer) -> None:
        self.attempts = 0
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    async def new_channel(self) -> Any:
        """Count the attempt, and fail or not."""
        self.attempts += 1
        if self.attempts <= 3:
            raise ConnectionError("Error 111 connecting to 127.0.0.1:6379.")
        return await self._layer.new_channel()


async def test_while_redis_is_unavailable_it_retries(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It logs one line, however many attempts it makes."""
    caplog.set_level("INFO", "clock")
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.005)
    flaky = FlakyLayer(layer)
    relay = Relay(lambda: flaky)
    relay.start()
    await wait_for(lambda: GROUP in layer.groups)
    await send(layer, tick(0))
    await settle()
    await relay.stop()
    lines = [message for message in caplog.messages if "unavailable" in message]
    assert lines == ["Redis is unavailable, retrying: ConnectionError: Error 111 connecting to 127.0.0.1:6379."]
    assert flaky.attempts == 4


async def test_it_can_be_stopped_and_started_again(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Stopping makes it leave the group. Stopping twice, or before the start, does nothing."""
    await relay.stop()
    await start(relay)
    await relay.stop()
    await relay.stop()
    assert GROUP not in layer.groups
    await start(relay)
    assert GROUP in layer.groups


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
