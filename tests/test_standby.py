"""The standby: when it is its turn, by what it hears and what its clock shows. In virtual time."""

import pytest

from clock.contract import Tick
from ticker.standby import LAST_RESORT, SILENCE, Standby

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
            self.now += 0.01
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


def test_what_is_far_behind() -> None:
    """A time that this clock will not reach soon."""
    standby = Listener().standby
    assert not standby.is_far_behind(START + 250)
    assert standby.is_far_behind(START + 251)
