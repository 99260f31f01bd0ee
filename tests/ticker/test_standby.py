"""The standby: when it should lead, by the ticks it receives and by its clock. In virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from clock.contract import Tick
from clock.process.backoff import Backoff
from ticker import standby as module
from ticker.lease_scripts import MAX_RECEIVED_RISE
from ticker.standby import HIGHER_TERM_TICKS, LAST_RESORT_S, SILENCE_S, UNHELD_S, WARN_AGAIN_AFTER_S, Standby

START_MS = 1_795_351_680_000


class Simulation:
    """A standby with clocks that advance only when a test says so. Its wall clock is off by `offset_ms`."""

    def __init__(self, offset_ms: float = 0) -> None:
        self.now = 100.0
        self.offset_ms = offset_ms
        self.standby = Standby(
            None, 250, wall=lambda: (START_MS + self.offset_ms) / 1000 + self.now - 100, now=lambda: self.now
        )

    def receive(self, count: int = 1, late_ms: float = 0) -> None:
        """Let it receive the leader's next ticks, each so much later than it was sent."""
        for _ in range(count):
            self.now = round(self.now + 0.01, 2)  # ticks are at multiples of 10 ms
            at = START_MS + round((self.now - 100) * 1000 - late_ms)
            self.standby.on_messages([Tick(at, "x", term=3).message()])

    def wait(self, seconds: float) -> None:
        """Let time pass without ticks."""
        self.now += seconds


def test_a_new_standby_need_not_wait() -> None:
    """It knows of no other ticker. The lease decides whether there is one."""
    assert Simulation().standby.should_lead()


def test_it_should_lead_after_five_missing_ticks() -> None:
    """Not earlier. Every tick restarts the wait."""
    simulation = Simulation()
    simulation.receive(10)
    assert simulation.standby.is_receiving
    simulation.wait(SILENCE_S - 0.001)
    assert not simulation.standby.should_lead()
    simulation.wait(0.002)
    assert simulation.standby.should_lead()
    simulation.receive()
    assert not simulation.standby.should_lead()


@pytest.mark.parametrize("offset_ms", [-251, 251, 3_600_000])
def test_a_standby_whose_clock_is_off_waits_longer(offset_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """It leads only if no other ticker has for seconds. It logs that once."""
    simulation = Simulation(offset_ms)
    for _ in range(3):
        simulation.receive(20)
        simulation.wait(LAST_RESORT_S - 0.001)
        assert not simulation.standby.should_lead()
    simulation.wait(0.002)
    assert simulation.standby.should_lead()
    (line,) = caplog.messages
    assert f"{offset_ms:+d} ms off" in line


@pytest.mark.parametrize("offset_ms", [-249, 0, 249])
def test_an_offset_within_the_limit_does_not_matter(offset_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged."""
    simulation = Simulation(offset_ms)
    simulation.receive(20)
    simulation.wait(SILENCE_S + 0.001)
    assert simulation.standby.should_lead()
    assert not caplog.messages


def test_late_ticks_do_not_make_the_clock_off() -> None:
    """The smallest offset of the last twenty ticks counts."""
    simulation = Simulation()
    simulation.receive(19, late_ms=900)
    simulation.receive(1)
    simulation.wait(SILENCE_S + 0.001)
    assert simulation.standby.should_lead()


def test_invalid_messages_do_not_count_as_ticks() -> None:
    """Every client of Redis can publish to the group."""
    simulation = Simulation()
    simulation.standby.on_messages([{}, None, "tick"])
    assert not simulation.standby.is_receiving
    assert simulation.standby.last is None


def test_it_keeps_the_last_tick() -> None:
    """The next leader starts after it."""
    simulation = Simulation()
    simulation.receive(3)
    assert simulation.standby.last == Tick(START_MS + 30, "x", term=3)


@pytest.mark.parametrize(("offset_ms", "wait_s"), [(0, UNHELD_S), (3_600_000, LAST_RESORT_S)])
def test_it_should_lead_if_nobody_holds_the_lease(offset_ms: int, wait_s: float) -> None:
    """The ticks that arrive are not the leader's. If its clock is off it waits longer, here too."""
    simulation = Simulation(offset_ms)
    for _ in range(10):
        simulation.receive(20)
        assert not simulation.standby.should_lead(unheld_s=wait_s - 0.01)
        assert simulation.standby.should_lead(unheld_s=wait_s)


def test_forged_ticks_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Genuine and forged ticks alternate, and the log gets one line a minute."""
    simulation = Simulation()
    minutes = 3
    for _ in range(round(minutes * 60 / 0.4)):
        simulation.receive(20)
        simulation.standby.should_lead()
        simulation.receive(20, late_ms=3_600_000)
        simulation.standby.should_lead()
    assert 1 <= len(caplog.messages) <= minutes * 60 / WARN_AGAIN_AFTER_S + 1


@pytest.mark.parametrize(
    ("terms", "is_detected"),
    [
        ([3] * 20, False),
        ([3] * 15 + [4] * (HIGHER_TERM_TICKS - 1), False),  # may be forged
        ([3] * 10 + [4] * HIGHER_TERM_TICKS, True),
        ([3, 4] * 10, True),
        ([3 + MAX_RECEIVED_RISE + 1, 2**53 - 1] * 10, False),  # certainly forged
        ([2, 3] * 10, False),
    ],
)
def test_a_leader_with_a_higher_term_is_detected(terms: list[int], *, is_detected: bool) -> None:
    """If enough of the last ticks have the higher term."""
    standby = Simulation().standby
    standby.on_messages([Tick(START_MS, "x", term=term).message() for term in terms])
    assert standby.has_higher_leader(3) is is_detected


def test_far_behind() -> None:
    """A clock is far behind a time that it does not reach soon."""
    standby = Simulation().standby
    assert not standby.is_far_behind(START_MS + 250)
    assert standby.is_far_behind(START_MS + 251)


def test_no_tick_delays_the_next_leader_for_long() -> None:
    """A limit of three seconds applies, however large an offset is allowed: the tick may be forged."""
    standby = Standby(None, 3_600_000, wall=lambda: START_MS / 1000)
    assert not standby.is_far_behind(START_MS + 2_999)
    assert standby.is_far_behind(START_MS + 3_001)


# --- Subscribing ---


class FlakyLayer:
    """A channel layer that delivers some ticks and then raises an error, for each subscription.

    With `only_first`, the first subscription fails before its first tick, and later ones never fail.
    """

    def __init__(self, ticks: int, error: Callable[[], Exception], *, only_first: bool = False) -> None:
        self.subscriptions = 0
        self._only_first = only_first
        self._ticks = ticks
        self._left = 0
        self._error = error

    async def new_channel(self) -> str:
        """Count the subscription."""
        self.subscriptions += 1
        self._left = self._ticks
        if self._only_first and self.subscriptions == 1:
            raise self._error()
        return "channel"

    async def group_add(self, group: str, channel: str) -> None:
        """Do nothing."""

    async def receive(self, _channel: str) -> dict[str, Any]:
        """Return a tick, or raise the error."""
        if not self._left:
            if self._only_first:
                await asyncio.Event().wait()
            raise self._error()
        self._left -= 1
        return Tick(START_MS, "x").message()

    async def flush(self) -> None:
        """Do nothing."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between subscriptions (seconds), which the test need not wait for."""
    recorded: list[float] = []

    class RecordingBackoff(Backoff):
        def pause(self) -> float:
            recorded.append(super().pause())
            return 0.001

    monkeypatch.setattr(module, "Backoff", RecordingBackoff)
    return recorded


async def run_until(layer: FlakyLayer, subscriptions: int) -> Standby:
    """Run a standby until it has subscribed so often and has had time to receive; then stop it."""
    standby = Standby(layer, 250)
    standby.start()
    async with asyncio.timeout(10):
        while layer.subscriptions < subscriptions:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    await standby.stop()
    assert not standby.is_running
    return standby


async def test_the_pause_does_not_grow_while_ticks_arrive(pauses: list[float]) -> None:
    """After a subscription that brought a tick, the next pause is the shortest."""
    await run_until(FlakyLayer(1, lambda: ConnectionError("lost")), 8)
    assert set(pauses) == {module.FIRST_PAUSE_S}


async def test_the_pause_doubles_while_redis_is_unavailable(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Up to a second. The outage is not a failure of the task, so the standby logs nothing."""
    await run_until(FlakyLayer(0, lambda: ConnectionError("refused")), 8)
    assert pauses[:7] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert not caplog.messages


@pytest.mark.parametrize("error", [RecursionError, ValueError, AttributeError])
async def test_after_an_unexpected_error_it_subscribes_again(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged with its traceback."""
    layer = FlakyLayer(1, lambda: error("hostile"), only_first=True)
    standby = await run_until(layer, 2)
    assert layer.subscriptions == 2
    assert standby.last is not None
    assert "'standby' failed" in caplog.text
    assert f"{error.__name__}: hostile" in caplog.text
