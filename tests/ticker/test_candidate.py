"""The candidate: when a standby asks for the lease, and how often. In virtual time."""

import pytest
from redis.exceptions import ConnectionError

from clock.contract import Tick
from clock.process.backoff import Backoff
from clock.redis.outage import Outage
from ticker.candidate import UNKEPT_SILENCE, Candidate
from ticker.lease import Lease
from ticker.standby import LAST_RESORT, UNHELD, Standby
from ticker.ticker import LOOK

START = 1_795_351_680_000


class Known(Lease):
    """A lease in the test's hands: `held` until when, by somebody else; and whether Redis keeps what it is given."""

    def __init__(self, room: "Room") -> None:
        super().__init__(lambda: None, "clock")  # type: ignore[arg-type,return-value]
        self.room = room
        self.held_until = 0.0
        self.keeps = True
        self.away = False
        self.asked: list[float] = []
        self.looked: list[float] = []

    async def take(self, heard_term: int) -> bool:  # noqa: ARG002 - the lease's own signature
        """Take it, if nobody holds it."""
        if self.away:
            raise ConnectionError
        self.asked.append(self.room.now)
        self.free_in = max(0.0, self.held_until - self.room.now)
        known, self.is_kept = not self.is_kept, self.keeps
        return not self.free_in and (known or self.keeps)

    async def is_held(self) -> bool:
        """Return whether somebody holds it."""
        self.looked.append(self.room.now)
        return self.room.now < self.held_until


class Room:
    """A candidate that is asked every 20 ms, and what it hears."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.now = 100.0
        self.standby = Standby(None, 250, wall=lambda: (START + offset_ms) / 1000 + self.now, now=lambda: self.now)
        self.lease = Known(self)
        self.outage = Outage(Backoff(0.05, 0.25), lambda: self.now)
        self.candidate = Candidate(self.lease, self.standby, self.outage)

    async def leads_within(self, seconds: float, *, ticks: bool) -> float | None:
        """Return after how many seconds it leads; None if not within these. Meanwhile ticks come, or none."""
        began = self.now
        while self.now < began + seconds:
            if ticks:
                self.standby.take([Tick(int(START + self.now * 1000), "x").message()])
            if await self.candidate.try_to_lead():
                return self.now - began
            self.now += LOOK
        return None


async def test_whoever_died_is_taken_over_from_as_soon_as_the_lease_runs_out() -> None:
    """With a few attempts until then, and not fifty a second."""
    room = Room()
    room.lease.held_until = room.now + 1.2
    await room.leads_within(0.1, ticks=True)
    after = await room.leads_within(5, ticks=False)
    assert after is not None
    assert after == pytest.approx(1.1, abs=2 * LOOK)
    assert len(room.lease.asked) <= 10


async def test_whoever_stopped_is_taken_over_from_at_once() -> None:
    """The lease is released soon after the last tick."""
    room = Room()
    room.lease.held_until = room.now + 1.2
    await room.leads_within(0.1, ticks=True)
    assert await room.leads_within(0.1, ticks=False) is None
    room.lease.held_until = 0.0
    after = await room.leads_within(5, ticks=False)
    assert after is not None
    assert after <= 0.08


async def test_a_deaf_standby_asks_a_few_times_a_second() -> None:
    """A leader that it does not hear extends its lease all the time."""
    room = Room()
    began = room.now
    for _ in range(100):
        room.lease.held_until = room.now + 1.2
        assert await room.leads_within(0.1, ticks=False) is None
    assert len(room.lease.asked) <= 5 + (room.now - began) / 0.25


async def test_ticks_of_a_leader_are_left_alone() -> None:
    """Looking whether the lease is held is all that it does."""
    room = Room()
    room.lease.held_until = room.now + 3_600
    assert await room.leads_within(60, ticks=True) is None
    assert not room.lease.asked
    assert len(room.lease.looked) <= 60 / 0.3 + 1


async def test_forged_ticks_do_not_keep_it_from_leading(caplog: pytest.LogCaptureFixture) -> None:
    """When the leader has died, however many come; and it is said."""
    room = Room()
    room.lease.held_until = room.now + 1.2
    after = await room.leads_within(60, ticks=True)
    assert after is not None
    assert 1.2 + UNHELD <= after <= 1.2 + UNHELD + 0.7
    assert "taking over" in caplog.text


async def test_nor_do_ticks_by_which_this_clock_is_off() -> None:
    """It takes longer, for others come first."""
    room = Room(offset_ms=3_600_000)
    after = await room.leads_within(60, ticks=True)
    assert after is not None
    assert LAST_RESORT <= after <= LAST_RESORT + 0.7


async def test_a_lease_that_is_missing_for_a_moment_is_left_alone() -> None:
    """Redis was emptied, and the leader takes it anew when it is due."""
    room = Room()
    for _ in range(10):
        room.lease.held_until = 0.0
        assert await room.leads_within(0.9, ticks=True) is None
        room.lease.held_until = room.now + 1.2
        assert await room.leads_within(1.0, ticks=True) is None
    assert not room.lease.asked


async def test_where_redis_keeps_no_lease_ticks_are_believed() -> None:
    """It finds that out by its own lease, and lets go of it; after that, only silence makes it lead."""
    room = Room()
    room.lease.keeps = False
    assert await room.leads_within(60, ticks=True) is None
    assert len(room.lease.asked) == 1
    after = await room.leads_within(5, ticks=False)
    assert after == pytest.approx(UNKEPT_SILENCE, abs=2 * LOOK)


async def test_who_comes_to_a_redis_that_keeps_no_lease_listens_first() -> None:
    """For as long as a leader would believe in its lease that stands still."""
    room = Room()
    room.lease.keeps = False
    room.standby._listening_since = room.now
    after = await room.leads_within(5, ticks=False)
    assert after == pytest.approx(UNKEPT_SILENCE, abs=2 * LOOK)
    assert len(room.lease.asked) == 2


async def test_while_redis_is_away_attempts_are_spaced_out() -> None:
    """Four a second; and it leads when Redis is back."""
    room = Room()
    room.lease.away = True
    assert await room.leads_within(10, ticks=False) is None
    assert room.outage.since is not None
    room.lease.away = False
    assert await room.leads_within(1, ticks=False) is not None
    assert room.outage.since is None
