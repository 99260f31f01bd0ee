"""The ticker: what it publishes, and what it does while Redis is unavailable. In virtual time."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    MaxConnectionsError,
    OutOfMemoryError,
)

from clock.contract import GROUP, Tick
from clock.process.backoff import Backoff
from clock.redis.comparison import RedisClock
from clock.redis.outage import Outage, describe
from tests.conftest import settle
from tests.ticker.machine import MS, SECOND, Machine
from ticker import publisher as publisher_module
from ticker import ticker as module
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.publisher import WARM_UP_GROUP, Publisher
from ticker.standby import Standby

# The first boundary before the machine's start.
START_MS = 1_795_351_680_000


class FakeLayer:
    """A channel layer that records messages. `before` is called before each one, with its group."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.before: Callable[[str], None] = lambda _group: None
        self.is_hanging = False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Record a message."""
        if self.is_hanging:
            await asyncio.Event().wait()
        self.before(group)
        self.sent.append((group, message))

    async def flush(self) -> None:
        """Do nothing."""

    async def new_channel(self) -> str:
        """Return a channel."""
        return "channel"

    async def group_add(self, group: str, channel: str) -> None:
        """Do nothing."""

    async def receive(self, _channel: str) -> None:
        """Never return."""
        await asyncio.Event().wait()

    def ticks(self) -> list[Tick]:
        """Return the ticks sent."""
        return [Tick.from_message(message) for group, message in self.sent if group == GROUP]

    def times(self) -> list[int]:
        """Return the times of the ticks sent."""
        return [tick.at for tick in self.ticks()]


def unused() -> NoReturn:
    """Fail, because nothing may connect to Redis."""
    raise AssertionError


class FakeLease(Lease):
    """A lease without Redis. It is valid until the test says otherwise.

    `renewal_due` says, for each tick, whether a renewal is due. `renewals` has the result of each renewal: an error, or
    whether Redis retained the lease.
    """

    def __init__(self) -> None:
        super().__init__(unused, "clock")
        self.term = 1
        self.valid = True
        self.renewal_due: Iterator[bool] = iter(())
        self.renewals: Iterator[Exception | bool] = iter(())
        self.renewal_count = 0

    def is_valid(self) -> bool:
        """Return whether it is valid."""
        return self.valid

    def invalidate(self) -> None:
        """Make it invalid."""
        self.valid = False

    def is_renewal_due(self) -> bool:
        """Return whether a renewal is due."""
        return next(self.renewal_due, False)

    async def renew(self) -> bool:
        """Renew it, or raise an error."""
        self.renewal_count += 1
        result = next(self.renewals)
        if isinstance(result, Exception):
            raise result
        self.is_retained = result
        return True

    async def acquire(self, received_term: int) -> bool:
        """Acquire it, with a term above all known ones."""
        self.valid, self.term = True, max(self.term, received_term) + 1
        return True

    async def release(self) -> None:
        """Make it invalid."""
        self.valid = False


def forever(value: bool) -> Iterator[bool]:  # noqa: FBT001 - the value is the subject
    """Yield the same value forever."""
    while True:
        yield value


class Simulation:
    """A ticker that is the leader, on a fake machine and a fake layer."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.layer = FakeLayer()
        self.lease = FakeLease()
        self.metronome = self.machine.metronome()

        def now() -> float:
            return self.machine.monotonic_ns / SECOND

        def wall() -> float:
            return self.machine.wall_ns / SECOND

        self.outage = Outage(Backoff(0.05, 1.0), now)
        self.standby = Standby(self.layer, 250, wall=wall, now=now)
        self.redis_clock = RedisClock(unused, now)
        publisher = Publisher(self.layer, ZoneInfo("UTC"), self.outage, self.redis_clock, HostClock(lambda: None))
        self.ticker = module.Ticker(self.metronome, publisher, self.lease, self.standby)

    async def tick(self, count: int) -> None:
        """Tick so many times."""
        for _ in range(count):
            await self.ticker.tick_once()

    async def lead_after(self, received: Tick) -> list[Tick]:
        """Receive a tick as a standby, then become the leader. Return the first three ticks published."""
        self.standby.on_messages([received.message()])
        await self.lease.acquire(received.term)
        before = len(self.layer.ticks())
        self.layer.before = lambda _group: self.ticker.stop() if len(self.layer.ticks()) >= before + 2 else None
        await self.ticker._lead()
        return self.layer.ticks()[before:]

    def fail(self, error: Exception) -> None:
        """Make the layer raise an error from now on."""

        def raise_error(_group: str) -> None:
            raise error

        self.layer.before = raise_error

    def recover(self) -> None:
        """Make the layer work again."""
        self.layer.before = lambda _group: None


async def test_every_tick_is_published_with_its_frame() -> None:
    """As one message with its time, text, term and step."""
    simulation = Simulation()
    await simulation.tick(3)
    assert simulation.layer.times() == [START_MS + 10, START_MS + 20, START_MS + 30]
    message = simulation.layer.sent[-1][1]
    assert json.loads(message["frame"]) == {"message": "2026-11-22 12:48:00.03", "at": 1_795_351_680_030}
    assert (message["term"], message["step"]) == (1, 0)
    assert (simulation.ticker.published, sum(simulation.ticker.unpublished.values())) == (3, 0)


async def test_each_tick_has_a_warm_up() -> None:
    """It is a message to a group without members, at most 2 ms before the boundary."""
    simulation = Simulation()
    times: list[tuple[str, int]] = []
    simulation.layer.before = lambda group: times.append((group, simulation.machine.wall_ns % (10 * MS)))
    await simulation.tick(2)
    assert [group for group, _ in times] == [WARM_UP_GROUP, GROUP] * 2
    assert all(8 * MS <= time_ns < 10 * MS for group, time_ns in times if group == WARM_UP_GROUP)
    assert all(time_ns == 0 for group, time_ns in times if group == GROUP)


async def test_when_the_clock_is_set_the_step_rises() -> None:
    """By one. The ticks no longer carry the offset to Redis, which was measured before."""
    simulation = Simulation()
    simulation.redis_clock._server = "a"
    now = simulation.redis_clock._clock()
    simulation.redis_clock._interval.add_round_trip(now, now, now)
    await simulation.tick(1)
    assert simulation.layer.ticks()[-1].server == "a"
    simulation.machine.set_wall_clock(-3_600 * SECOND)
    await simulation.tick(2)
    assert [tick.step for tick in simulation.layer.ticks()] == [0, 1, 1]
    assert simulation.layer.ticks()[-1].server == ""


# --- As the leader ---


async def test_without_the_lease_nothing_is_published() -> None:
    """The lease is checked when the tick is due, and not before. So a process that was suspended stops in time."""
    simulation = Simulation()
    await simulation.tick(1)
    simulation.machine.after(5 * MS, simulation.lease.invalidate)
    await simulation.tick(1)
    assert len(simulation.layer.times()) == 1


@pytest.mark.parametrize("offset_ms", [-30, 0, 30])
async def test_a_new_leader_continues_after_the_last_tick_received(offset_ms: int) -> None:
    """Whether its clock is behind the former leader's or ahead of it. It has the next term and the same step."""
    simulation = Simulation()
    at = (simulation.machine.wall_ns // MS + offset_ms) // 10 * 10
    ticks = await simulation.lead_after(Tick(at, "received", term=7, step=2))
    assert [(tick.term, tick.step) for tick in ticks] == [(8, 2)] * 3
    assert [tick.at - ticks[0].at for tick in ticks] == [0, 10, 20]
    assert ticks[0].at == max(at, START_MS) + 10


async def test_a_new_leader_whose_clock_is_far_behind_steps_back() -> None:
    """It cannot wait for an hour. The step tells the workers that the time goes back."""
    simulation = Simulation()
    at = simulation.machine.wall_ns // MS // 10 * 10 + 3_600_000
    ticks = await simulation.lead_after(Tick(at, "received", term=7, step=2))
    assert [(tick.at, tick.term, tick.step) for tick in ticks[:1]] == [(START_MS + 10, 8, 3)]


@pytest.mark.parametrize("at", [0, START_MS - 3_600_000, 253_402_214_399_990])
@pytest.mark.parametrize("step", [0, module.MAX_RECEIVED_STEP, 2**53 - 1, 2**64 - 1])
async def test_a_forged_tick_does_not_delay_the_next_leader(at: int, step: int) -> None:
    """Whatever it contains, the leader starts at once, with a step that has room to rise."""
    simulation = Simulation()
    ticks = await simulation.lead_after(Tick(at, "forged", term=7, step=step))
    assert ticks[0].at == START_MS + 10
    assert ticks[0].step <= module.MAX_RECEIVED_STEP + 1


async def test_a_leader_continues_after_its_own_ticks() -> None:
    """Also if its clock went back while it was not the leader."""
    simulation = Simulation()
    await simulation.tick(3)
    simulation.machine.set_wall_clock(-100 * MS)
    ticks = await simulation.lead_after(Tick(1, "long ago", term=0))
    assert ticks[0].at == START_MS + 40
    assert ticks[0].step == 0


async def test_after_an_unexpected_error_the_renewal_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback. The ticks continue while the lease is valid."""
    simulation = Simulation()
    simulation.lease.renewal_due = forever(True)
    simulation.lease.renewals = iter([AttributeError("a bug"), True])
    await simulation.tick(3)
    async with asyncio.timeout(10):
        while simulation.lease.renewal_count < 2:
            await asyncio.sleep(0.005)
    await simulation.standby.supervisor.stop()
    assert len(simulation.layer.times()) == 3
    assert "'renewal' failed" in caplog.text


async def test_a_renewal_that_runs_out_of_memory_stops_no_tick() -> None:
    """Redis then refuses the renewal, but still takes ticks."""
    simulation = Simulation()
    simulation.lease.renewal_due = forever(True)
    simulation.lease.renewals = iter([OutOfMemoryError("command not allowed")] * 20)
    for _ in range(20):
        await simulation.tick(1)
        await settle()
    assert simulation.lease.renewal_count == 20
    assert len(simulation.layer.times()) == 20
    assert simulation.outage.since is None


async def test_if_redis_does_not_retain_the_lease_the_leader_receives_ticks() -> None:
    """It stops when it receives a higher term. It stops receiving when Redis retains the lease again."""
    simulation = Simulation()
    simulation.lease.renewal_due = iter([True, False, True, False, True])
    retained = (False, True, False)
    simulation.lease.renewals = iter(retained)
    for is_retained in retained:
        await simulation.tick(1)
        await settle()
        assert simulation.standby.is_running is not is_retained
        await simulation.tick(1)
    simulation.standby.on_messages([Tick(10, "own", term=1).message() for _ in range(10)])
    await simulation.tick(1)
    assert simulation.lease.is_valid()
    simulation.standby.on_messages([Tick(10, "another's", term=2).message() for _ in range(10)])
    await simulation.tick(1)
    assert not simulation.lease.is_valid()
    await simulation.standby.stop()


# --- While Redis is unavailable ---


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Error 111 connecting to 127.0.0.1:6379."),
        ConnectionRefusedError(111, "refused"),
        BusyLoadingError("loading"),
        AuthenticationError("wrong password"),
        MaxConnectionsError("max number of clients reached"),
        TimeoutError(),
    ],
)
async def test_an_outage_is_logged_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """With one line when it begins, and one when it ends, with its duration. The ticks then continue on time."""
    caplog.set_level("INFO")
    simulation = Simulation()
    await simulation.tick(5)
    caplog.clear()
    simulation.fail(error)
    await simulation.tick(1_000)  # ten seconds
    simulation.recover()
    await simulation.tick(200)
    begin, end = caplog.messages
    assert begin.startswith("Redis is unavailable, retrying: ")
    assert type(error).__name__ in begin
    assert "\n" not in begin
    assert end.startswith("Redis is available again after 1")
    assert len(simulation.layer.times()) == simulation.ticker.published
    assert simulation.ticker.published + sum(simulation.ticker.unpublished.values()) == 1_205
    assert simulation.layer.times()[-1] == START_MS + 1_205 * 10


def test_an_error_is_described_in_one_line() -> None:
    """By its type and the first line of its text. Some errors have no text."""
    assert describe(ConnectionError("refused\nby the host")) == "ConnectionError: refused"
    assert describe(TimeoutError()) == "TimeoutError: timed out"
    assert describe(OSError()) == "OSError: no details"


async def test_the_pause_between_attempts_doubles() -> None:
    """Up to a second. So an outage of an hour makes some 3,600 attempts, and not 360,000."""
    simulation = Simulation()
    attempts: list[float] = []

    def refuse(_group: str) -> None:
        attempts.append(simulation.machine.monotonic_ns / SECOND)
        raise ConnectionError

    simulation.layer.before = refuse
    await simulation.tick(2_000)
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert pauses[-1] == pytest.approx(1.0, abs=0.011)
    assert len(attempts) < 30


async def test_ticks_lost_to_a_slow_redis_do_not_count_as_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """If a reply takes 35 ms, two ticks are lost. Then the newest one is published. The last line has the totals."""
    caplog.set_level("INFO")
    simulation = Simulation()
    await simulation.tick(1)
    simulation.layer.before = lambda group: simulation.machine.stall(35 * MS) if group == GROUP else None
    await simulation.tick(1)
    simulation.recover()
    await simulation.tick(2)
    assert [at - START_MS for at in simulation.layer.times()] == [10, 20, 50, 60]
    assert simulation.ticker.unpublished == {"unavailable": 0, "slow": 2, "lease": 0}
    assert simulation.metronome.counts.skipped == 0
    simulation.ticker.stop()
    await simulation.ticker.run()
    assert "stopped after 6 ticks: 4 published, 2 lost" in caplog.text


async def test_a_redis_that_does_not_reply_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout."""
    monkeypatch.setattr(publisher_module, "TIMEOUT_S", 0.05)
    simulation = Simulation()
    simulation.layer.is_hanging = True
    start = time.monotonic()
    await simulation.tick(1)
    assert time.monotonic() - start >= 0.05
    assert simulation.outage.since is not None


async def test_skipped_ticks_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Three stalls within a minute have one line. So a busy machine does not fill the log."""
    simulation = Simulation()
    await simulation.tick(6_001)
    caplog.clear()
    for _ in range(3):
        simulation.machine.after(4 * MS, lambda: simulation.machine.stall(35 * MS))
        await simulation.tick(100)
    (message,) = caplog.messages
    assert message.startswith("skipped")
    await simulation.tick(6_001)
    assert len(caplog.messages) == 2
