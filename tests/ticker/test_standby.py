"""The standby: when it is its turn, by what it hears and what its clock shows. In virtual time."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from clock.contract import Tick
from ticker.lease_scripts import NEAR
from ticker.standby import LAST_RESORT, PROOF, SILENCE, UNHELD, WARN_AGAIN_AFTER, Standby

START = 1_795_351_680_000


class Listener:
    """A standby that hears what it is told, on clocks that stand still."""

    def __init__(self, offset_ms: float = 0) -> None:
        self.now = 100.0
        self.offset_ms = offset_ms
        self.standby = Standby(
            None, 250, wall=lambda: (START + self.offset_ms) / 1000 + self.now - 100, now=lambda: self.now
        )

    def hear(self, count: int = 1, late_ms: float = 0) -> None:
        """Let it hear the leader's next ticks, each so much later than it was sent."""
        for _ in range(count):
            self.now = round(self.now + 0.01, 2)  # ticks are at multiples of 10 ms
            at = START + round((self.now - 100) * 1000 - late_ms)
            self.standby.take([Tick(at, "x", term=3).message()])

    def wait(self, seconds: float) -> None:
        """Let time pass in silence."""
        self.now += seconds


def test_who_has_just_come_need_not_wait() -> None:
    """Nobody ticks, as far as it knows; the lease says whether that is so."""
    assert Listener().standby.is_its_turn()


def test_it_is_its_turn_when_five_ticks_have_not_come() -> None:
    """And not before; every tick that is heard begins the wait anew."""
    listener = Listener()
    listener.hear(10)
    assert listener.standby.hears
    listener.wait(SILENCE - 0.001)
    assert not listener.standby.is_its_turn()
    listener.wait(0.002)
    assert listener.standby.is_its_turn()
    listener.hear()
    assert not listener.standby.is_its_turn()


@pytest.mark.parametrize("offset_ms", [-251, 251, 3_600_000])
def test_a_clock_that_is_off_lets_others_come_first(offset_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and leads only when nobody else has for seconds."""
    listener = Listener(offset_ms)
    for _ in range(3):
        listener.hear(20)
        listener.wait(LAST_RESORT - 0.001)
        assert not listener.standby.is_its_turn()
    listener.wait(0.002)
    assert listener.standby.is_its_turn()
    (line,) = caplog.messages
    assert f"{offset_ms:+d} ms off" in line


@pytest.mark.parametrize("offset_ms", [-249, 0, 249])
def test_a_clock_within_the_bound_is_good_enough(offset_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said."""
    listener = Listener(offset_ms)
    listener.hear(20)
    listener.wait(SILENCE + 0.001)
    assert listener.standby.is_its_turn()
    assert not caplog.messages


def test_ticks_that_came_late_are_no_clock_that_is_off() -> None:
    """The least late of the last twenty counts."""
    listener = Listener()
    listener.hear(19, late_ms=900)
    listener.hear(1)
    listener.wait(SILENCE + 0.001)
    assert listener.standby.is_its_turn()


def test_what_is_no_tick_is_not_heard() -> None:
    """Whoever can reach Redis can publish to the group."""
    listener = Listener()
    listener.standby.take([{}, None, "tick"])
    assert not listener.standby.hears
    assert listener.standby.last is None


def test_it_remembers_the_last_tick() -> None:
    """Whoever leads next begins above it."""
    listener = Listener()
    listener.hear(3)
    assert listener.standby.last == Tick(START + 30, "x", term=3)


@pytest.mark.parametrize(("offset_ms", "wait"), [(0, UNHELD), (3_600_000, LAST_RESORT)])
def test_a_lease_that_nobody_holds_makes_it_its_turn(offset_ms: int, wait: float) -> None:
    """Although ticks come: they are not the leader's. If its clock is off, others come first here, too."""
    listener = Listener(offset_ms)
    for _ in range(10):
        listener.hear(20)
        assert not listener.standby.is_its_turn(unheld=wait - 0.01)
        assert listener.standby.is_its_turn(unheld=wait)


def test_forged_ticks_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Real and forged ones by turns, each often enough to be believed: one line a minute."""
    listener = Listener()
    minutes = 3
    for _ in range(round(minutes * 60 / 0.4)):
        listener.hear(20)
        listener.standby.is_its_turn()
        listener.hear(20, late_ms=3_600_000)
        listener.standby.is_its_turn()
    assert 1 <= len(caplog.messages) <= minutes * 60 / WARN_AGAIN_AFTER + 1


@pytest.mark.parametrize(
    ("heard", "above"),
    [
        ([3] * 20, False),
        ([3] * 15 + [4] * (PROOF - 1), False),  # forged, perhaps
        ([3] * 10 + [4] * PROOF, True),
        ([3, 4] * 10, True),
        ([3 + NEAR + 1, 2**53 - 1] * 10, False),  # forged for certain
        ([2, 3] * 10, False),
    ],
)
def test_another_leader_is_heard(heard: list[int], *, above: bool) -> None:
    """By its higher term, if enough of the last ticks have it."""
    standby = Listener().standby
    standby.take([Tick(START, "x", term=term).message() for term in heard])
    assert standby.hears_above(3) is above


# --- How it listens ---


class Flaky:
    """A channel layer that gives some ticks and then raises, each time that somebody listens.

    With `at_first`, it raises before the first tick instead, the first time that somebody listens, and then never.
    """

    def __init__(self, ticks: int, error: Callable[[], Exception], *, at_first: bool = False) -> None:
        self.listened_at: list[float] = []
        self._at_first = at_first
        self._ticks = ticks
        self._error = error

    async def new_channel(self) -> str:
        """Be listened to."""
        self.listened_at.append(time.monotonic())
        self._left = self._ticks
        if self._at_first and len(self.listened_at) == 1:
            raise self._error()
        return "channel"

    async def group_add(self, group: str, channel: str) -> None:
        """Do nothing."""

    async def receive(self, _channel: str) -> dict[str, Any]:
        """Give a tick, or raise."""
        if not self._left:
            if self._at_first:
                await asyncio.Future()
            raise self._error()
        self._left -= 1
        return Tick(START, "x").message()

    async def flush(self) -> None:
        """Do nothing."""


async def listen_for(layer: Flaky, seconds: float) -> Standby:
    """Have a standby listen to a layer for some time."""
    standby = Standby(layer, 250)
    standby.listen()
    await asyncio.sleep(seconds)
    await standby.stop()
    assert not standby.is_listening
    return standby


async def test_each_disconnection_costs_the_same() -> None:
    """Who has heard something begins again with the shortest pause."""
    layer = Flaky(1, lambda: ConnectionError("lost"))
    await listen_for(layer, 0.9)
    assert len(layer.listened_at) >= 8  # with pauses that double, there were five


async def test_a_redis_that_is_away_is_asked_seldom() -> None:
    """Nothing is heard, so the pauses double; and it is no failure, so nothing is logged."""
    layer = Flaky(0, lambda: ConnectionError("refused"))
    await listen_for(layer, 0.9)
    assert len(layer.listened_at) <= 5


@pytest.mark.parametrize("error", [RecursionError, ValueError, AttributeError])
async def test_what_nobody_foresaw_does_not_make_it_deaf(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback, and it listens again."""
    layer = Flaky(1, lambda: error("hostile"), at_first=True)
    standby = await listen_for(layer, 0.5)
    assert len(layer.listened_at) == 2
    assert standby.last is not None
    assert "'standby' failed" in caplog.text
    assert f"{error.__name__}: hostile" in caplog.text


def test_what_is_far_behind() -> None:
    """A time that this clock will not reach soon."""
    standby = Listener().standby
    assert not standby.is_far_behind(START + 250)
    assert standby.is_far_behind(START + 251)


def test_no_tick_makes_the_next_leader_wait_for_long() -> None:
    """However far the clocks may be apart: a forged one could say anything."""
    standby = Standby(None, 3_600_000, wall=lambda: START / 1000)
    assert not standby.is_far_behind(START + 2_999)
    assert standby.is_far_behind(START + 3_001)
