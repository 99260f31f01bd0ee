"""The candidate: when a standby asks for the lease, and how often. In virtual time."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from clock.contract import Tick
from clock.process.backoff import Backoff
from clock.redis.outage import Outage
from ticker.candidate import CHECK_INTERVAL_S, LONGEST_PAUSE_S, UNRETAINED_SILENCE_S, Candidate
from ticker.lease import Lease
from ticker.standby import LAST_RESORT_S, UNHELD_S, Standby
from ticker.ticker import CHECK_INTERVAL_S as TICKER_INTERVAL_S

START_MS = 1_795_351_680_000


class FakeLease(Lease):
    """A lease that the test controls: until when another ticker holds it, and whether Redis retains it."""

    def __init__(self, simulation: "Simulation") -> None:
        super().__init__(Redis, "clock")
        self.simulation = simulation
        self.held_until = 0.0
        self.retains = True
        self.is_available = True
        self.acquire_times: list[float] = []
        self.check_times: list[float] = []

    async def acquire(self, received_term: int) -> bool:  # noqa: ARG002 - the signature of the base class
        """Acquire it if nobody holds it."""
        if not self.is_available:
            raise ConnectionError
        self.acquire_times.append(self.simulation.now)
        self.expires_in_s = max(0.0, self.held_until - self.simulation.now)
        was_known, self.is_retained = not self.is_retained, self.retains
        return not self.expires_in_s and (was_known or self.retains)

    async def is_held(self) -> bool:
        """Return whether another ticker holds it."""
        self.check_times.append(self.simulation.now)
        return self.simulation.now < self.held_until


class Simulation:
    """A candidate that is called every 20 ms, and its standby."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.now = 100.0
        self.standby = Standby(None, 250, wall=lambda: (START_MS + offset_ms) / 1000 + self.now, now=lambda: self.now)
        self.lease = FakeLease(self)
        self.outage = Outage(Backoff(0.05, 0.25), lambda: self.now)
        self.candidate = Candidate(self.lease, self.standby, self.outage)

    async def run(self, seconds: float, *, ticks: bool) -> float | None:
        """Return after how many seconds it leads, or None if it does not. `ticks` says whether ticks arrive."""
        start = self.now
        while self.now < start + seconds:
            if ticks:
                self.standby.on_messages([Tick(int(START_MS + self.now * 1000), "x").message()])
            if await self.candidate.try_to_lead():
                return self.now - start
            self.now += TICKER_INTERVAL_S
        return None


async def test_after_a_crash_it_leads_when_the_lease_expires() -> None:
    """Until then it makes a few attempts, and not fifty a second."""
    simulation = Simulation()
    simulation.lease.held_until = simulation.now + 1.2
    await simulation.run(0.1, ticks=True)
    assert await simulation.run(5, ticks=False) == pytest.approx(1.1, abs=2 * TICKER_INTERVAL_S)
    assert len(simulation.lease.acquire_times) <= 10


async def test_after_a_graceful_stop_it_leads_at_once() -> None:
    """The former leader releases the lease soon after its last tick."""
    simulation = Simulation()
    simulation.lease.held_until = simulation.now + 1.2
    await simulation.run(0.1, ticks=True)
    assert await simulation.run(0.1, ticks=False) is None
    simulation.lease.held_until = 0.0
    after = await simulation.run(5, ticks=False)
    assert after is not None
    assert after <= 0.08


async def test_a_standby_that_receives_nothing_asks_a_few_times_a_second() -> None:
    """The leader, whose ticks it does not receive, renews its lease all the time."""
    simulation = Simulation()
    start = simulation.now
    for _ in range(100):
        simulation.lease.held_until = simulation.now + 1.2
        assert await simulation.run(0.1, ticks=False) is None
    assert len(simulation.lease.acquire_times) <= 5 + (simulation.now - start) / LONGEST_PAUSE_S


async def test_while_the_leader_ticks_it_only_checks_the_lease() -> None:
    """It never tries to acquire the lease."""
    simulation = Simulation()
    simulation.lease.held_until = simulation.now + 3_600
    assert await simulation.run(60, ticks=True) is None
    assert not simulation.lease.acquire_times
    assert len(simulation.lease.check_times) <= 60 / CHECK_INTERVAL_S + 1


async def test_forged_ticks_do_not_keep_it_from_leading(caplog: pytest.LogCaptureFixture) -> None:
    """When the leader has crashed, however many forged ticks arrive. The log says so."""
    simulation = Simulation()
    simulation.lease.held_until = simulation.now + 1.2
    after = await simulation.run(60, ticks=True)
    assert after is not None
    assert 1.2 + UNHELD_S <= after <= 1.2 + UNHELD_S + 0.7
    assert "taking over" in caplog.text


async def test_forged_ticks_of_another_time_do_not_keep_it_from_leading() -> None:
    """It takes longer, because its clock counts as off, and so others come first."""
    simulation = Simulation(offset_ms=3_600_000)
    after = await simulation.run(60, ticks=True)
    assert after is not None
    assert LAST_RESORT_S <= after <= LAST_RESORT_S + 0.7


async def test_a_lease_that_is_missing_briefly_is_not_acquired() -> None:
    """Redis was emptied, and the leader acquires the lease again at its next renewal."""
    simulation = Simulation()
    for _ in range(10):
        simulation.lease.held_until = 0.0
        assert await simulation.run(0.9, ticks=True) is None
        simulation.lease.held_until = simulation.now + 1.2
        assert await simulation.run(1.0, ticks=True) is None
    assert not simulation.lease.acquire_times


async def test_if_redis_does_not_retain_the_lease_only_silence_counts() -> None:
    """It detects that with its own lease, which it gives up. From then on it leads only when no ticks arrive."""
    simulation = Simulation()
    simulation.lease.retains = False
    assert await simulation.run(60, ticks=True) is None
    assert len(simulation.lease.acquire_times) == 1
    after = await simulation.run(5, ticks=False)
    assert after == pytest.approx(UNRETAINED_SILENCE_S, abs=2 * TICKER_INTERVAL_S)


async def test_if_redis_does_not_retain_the_lease_a_new_ticker_waits() -> None:
    """For as long as a stalled leader would consider its lease valid."""
    simulation = Simulation()
    simulation.lease.retains = False
    simulation.standby._started_at = simulation.now
    after = await simulation.run(5, ticks=False)
    assert after == pytest.approx(UNRETAINED_SILENCE_S, abs=2 * TICKER_INTERVAL_S)
    assert len(simulation.lease.acquire_times) == 2


async def test_while_redis_is_unavailable_it_retries() -> None:
    """It leads when Redis is available again."""
    simulation = Simulation()
    simulation.lease.is_available = False
    assert await simulation.run(10, ticks=False) is None
    assert simulation.outage.since is not None
    simulation.lease.is_available = True
    assert await simulation.run(1, ticks=False) is not None
    assert simulation.outage.since is None
