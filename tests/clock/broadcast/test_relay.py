"""The relay: which ticks it takes, what its viewers get, and how it finds its way back to the ticks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from redis.exceptions import ConnectionError

from clock.broadcast.relay import Relay
from clock.contract import GROUP, Tick
from tests.conftest import Client, settle

# A moment that begins a second.
START = 1_795_351_680_000


def tick(number: int, **marks: int) -> Tick:
    """Return the tick so many ticks after `START`; its frame is the number."""
    return Tick(START + number * 10, str(number), **marks)


async def send(layer: InMemoryChannelLayer, *ticks: Tick) -> None:
    """Publish ticks, all before the relay gets to run."""
    for one in ticks:
        await layer.group_send(GROUP, one.message())


async def started(relay: Relay) -> Relay:
    """Return the relay, in the group."""
    relay.start()
    await settle()
    return relay


async def test_each_tick_goes_to_every_member(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """One message in, one frame to each, the very text that the ticker wrote."""
    viewers = [Client(), Client()]
    for viewer in viewers:
        relay.fan_out.join(viewer, 100)
    await started(relay)
    for number in range(3):
        await send(layer, tick(number))
        await settle()
    assert [viewer.got for viewer in viewers] == [["0", "1", "2"]] * 2


async def test_there_is_one_group_member_however_many_clients(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Clients join the relay, and only the relay joins the group."""
    await started(relay)
    for _ in range(100):
        relay.fan_out.join(Client(), 100)
        relay.start()
    await settle()
    assert len(layer.groups[GROUP]) == 1
    assert len(layer.channels) <= 1


async def test_the_newest_wins(relay: Relay) -> None:
    """Of ticks that come together, after the worker was busy or held up, the newest alone is written."""
    viewer = Client()
    relay.fan_out.join(viewer, 100)
    relay._take_messages([tick(number).message() for number in range(20)])
    relay._take_messages([tick(number).message() for number in range(10)])
    relay._take_messages([tick(20).message(), {}, tick(7).message()])
    assert viewer.got == ["19", "20"]


async def test_what_is_not_a_tick_is_dropped(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Whoever can reach Redis can publish to the group; the ticks go on."""
    viewer = Client()
    relay.fan_out.join(viewer, 100)
    await started(relay)
    for message in ({}, {"type": "clock.tick"}, {"at": "soon", "frame": 7}, {"at": START, "frame": "x", "term": "0"}):
        await layer.group_send(GROUP, message)
    await send(layer, tick(1))
    await settle()
    assert viewer.got == ["1"]


def test_the_time_goes_on_between_ticks() -> None:
    """Last tick plus what has passed since on the monotonic clock; nothing before the first."""
    now = [100.0]
    relay = Relay(lambda: None, now=lambda: now[0])
    assert relay.instant() is None
    relay.tick_filter.take(tick(0))
    now[0] += 0.125
    assert relay.instant() == (START + 125, 125, None, None)


# --- Finding the way back ---


async def test_a_silent_subscription_is_made_anew(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A link that looks open can be dead. One line for the silence, however long, and one for its end."""
    caplog.set_level("INFO", "clock")
    relay = Relay(lambda: layer, silence=0.02)
    viewer = Client()
    relay.fan_out.join(viewer, 100)
    await started(relay)
    await send(layer, tick(0))
    await settle()
    for _ in range(3):  # the subscription is lost, without a word
        await layer.flush()
        await wait_for(lambda: GROUP in layer.groups)
    await send(layer, tick(1))
    await settle()
    await relay.stop()
    assert viewer.got == ["0", "1"]
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for the first tick",
        "ticks are coming",
        "no ticks for 0.02 s: listening anew",
        "ticks are coming",
    ]


class BrokenLayer(InMemoryChannelLayer):
    """A layer whose Redis is away for the first few attempts."""

    attempts = 0

    async def new_channel(self, prefix: str = "specific") -> Any:
        """Refuse, or not."""
        self.attempts += 1
        if self.attempts <= 3:
            raise ConnectionError("Error 111 connecting to 127.0.0.1:6379.")
        return await super().new_channel(prefix)


async def test_while_redis_is_away_it_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it is away, whatever the number of attempts."""
    caplog.set_level("INFO", "clock")
    layer = BrokenLayer()
    relay = Relay(lambda: layer)
    relay.start()
    await wait_for(lambda: GROUP in layer.groups)
    await send(layer, tick(0))
    await settle()
    await relay.stop()
    away = [record.getMessage() for record in caplog.records if "away" in record.getMessage()]
    assert away == ["Redis is away: ConnectionError: Error 111 connecting to 127.0.0.1:6379."]
    assert layer.attempts == 4


async def test_stopping(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """It leaves the group; it can be stopped twice, or before it ever started; and it can start again."""
    await relay.stop()
    await started(relay)
    await relay.stop()
    await relay.stop()
    assert GROUP not in layer.groups
    await started(relay)
    assert GROUP in layer.groups


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come about that takes real time."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
