"""The metrics of a ticker, and when it counts as alive. In virtual time."""

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import ConnectionError

from clock.redis.comparison import Comparison
from tests.ticker.machine import MS, SECOND
from tests.ticker.test_ticker import START_MS, Simulation
from ticker.host_clock import HostClock
from ticker.metrics import MAX_STALL_S, STATES, TickerMetrics

Samples = dict[tuple[str, ...], float]


class Watched(Simulation):
    """A ticker with metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.synchronised: bool | None = None
        self.metrics = TickerMetrics(
            ticker=self.ticker,
            metronome=self.metronome,
            publisher=self.ticker._publisher,
            lease=self.lease,
            standby=self.standby,
            redis_clock=self.redis_clock,
            host_clock=HostClock(lambda: self.synchronised),
        )

    def read(self) -> Samples:
        """Return the value of each sample by its name and the values of its labels."""
        found = {}
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            assert family.documentation
            for sample in family.samples:
                found[sample.name, *sample.labels.values()] = sample.value
        return found


def test_before_the_first_tick_unknown_values_are_absent() -> None:
    """A missing sample is better than a zero. Counters begin with zero."""
    samples = Watched().read()
    assert samples["clock_ticker_ticks_published_total",] == 0
    assert samples["clock_ticker_ticks_unpublished_total", "slow"] == 0
    for name in ("last_tick_timestamp_seconds", "synchronised", "redis_offset_seconds", "redis_margin_seconds"):
        assert (f"clock_ticker_{name}",) not in samples


async def test_ticks_and_their_lateness() -> None:
    """From when they were due to when Redis had taken them: 0, and twice 3 ms."""
    watched = Watched()
    await watched.tick(1)
    watched.layer.before = lambda _group: watched.machine.stall(3 * MS)
    await watched.tick(2)
    samples = watched.read()
    assert samples["clock_ticker_ticks_published_total",] == samples["clock_ticker_lateness_seconds_count",] == 3
    assert samples["clock_ticker_lateness_seconds_sum",] >= 0.006
    assert samples["clock_ticker_lateness_seconds_bucket", "0.0001"] == 1
    assert samples["clock_ticker_lateness_seconds_bucket", "0.005"] == 3
    assert samples["clock_ticker_last_tick_timestamp_seconds",] == pytest.approx(START_MS / 1000 + 0.03)


async def test_ticks_that_were_not_published() -> None:
    """By reason: Redis was unavailable, or slow, or the lease had expired; and those that a stall skipped."""
    watched = Watched()
    await watched.tick(1)
    watched.layer.before = lambda group: watched.machine.stall(35 * MS) if group == "ticks" else None
    await watched.tick(1)
    watched.fail(ConnectionError("gone"))
    await watched.tick(2)
    watched.recover()
    await watched.tick(100)
    watched.lease.valid = False
    await watched.tick(1)
    watched.lease.valid = True
    watched.machine.after(4 * MS, lambda: watched.machine.stall(35 * MS))
    await watched.tick(5)
    samples = watched.read()
    lost = {name[1]: value for name, value in samples.items() if name[0] == "clock_ticker_ticks_unpublished_total"}
    assert (lost["slow"], lost["lease"]) == (2, 1)
    assert lost["unavailable"] >= 2
    assert samples["clock_ticker_ticks_skipped_total",] == 3
    assert samples["clock_ticker_redis_outages_total",] == 1


async def test_a_clock_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a step, and no lateness of an hour."""
    watched = Watched()
    await watched.tick(1)
    watched.layer.before = lambda group: watched.machine.set_wall_clock(3600 * SECOND) if group == "ticks" else None
    await watched.tick(1)
    watched.recover()
    await watched.tick(1)
    samples = watched.read()
    assert samples["clock_ticker_clock_steps_total",] == 1
    assert samples["clock_ticker_lateness_seconds_sum",] < 0.01


def test_the_comparison_of_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Redis, in seconds; and what the kernel says."""
    watched = Watched()
    watched.synchronised = False
    monkeypatch.setattr(watched.redis_clock, "read", lambda: Comparison("one", -1_500.0, 0.25))
    samples = watched.read()
    assert samples["clock_ticker_redis_offset_seconds",] == -1.5
    assert samples["clock_ticker_redis_margin_seconds",] == 0.00025
    assert samples["clock_ticker_synchronised",] == 0


async def test_the_states() -> None:
    """Exactly one of them at a time; and the takeovers, with their term."""
    watched = Watched()

    def states() -> list[str]:
        return [name[1] for name, value in watched.read().items() if name[0] == "clock_ticker_state" and value]

    assert states() == ["candidate"]
    seen: list[str] = []
    received = watched_tick(watched)
    watched.standby.on_messages([received])
    assert states() == ["standby"]
    await watched.lease.acquire(3)

    def look(_group: str) -> None:
        seen.extend(states())
        if watched.ticker.published >= 3:
            watched.ticker.stop()

    watched.layer.before = look
    await watched.ticker._lead()
    assert set(seen) == {"leader"}
    watched.outage.record_failure(ConnectionError("gone"))
    assert states() == ["unavailable"]
    samples = watched.read()
    assert samples["clock_ticker_takeovers_total",] == 1
    assert samples["clock_ticker_term",] == 4
    assert {name[1] for name in samples if name[0] == "clock_ticker_state"} == {*STATES}


def watched_tick(watched: Watched) -> dict[str, Any]:
    """Return a message of another leader, at the present time."""
    at = watched.machine.wall_ns // (10 * MS) * 10
    return {"type": "clock.tick", "at": at, "frame": "x", "term": 3}


# --- Liveness ---


async def test_a_leader_that_publishes_is_alive() -> None:
    """One that publishes nothing for seconds is not, because it keeps standbys from publishing."""
    watched = Watched()
    watched.ticker.is_leading = True
    await watched.tick(1_000)
    assert watched.metrics.stall() is None
    watched.fail(ConnectionError("gone"))
    await watched.tick(int((MAX_STALL_S - 0.5) * 100))
    assert watched.metrics.stall() is None
    await watched.tick(100)
    assert re.fullmatch(r"no tick published for [56] s", watched.metrics.stall() or "")
    watched.recover()
    await watched.tick(200)
    assert watched.metrics.stall() is None


async def test_a_standby_that_looks_after_the_leader_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without a leader, and without Redis."""
    watched = Watched()
    watched.machine.stall(60 * SECOND)
    assert watched.metrics.stall() == "idle for 60 s"

    async def refuse(_received_term: int) -> bool:
        watched.ticker.stop()
        raise ConnectionError

    monkeypatch.setattr(watched.lease, "acquire", refuse)
    await watched.ticker._stand_by()
    assert watched.outage.since is not None
    assert watched.metrics.stall() is None


async def test_names_follow_the_conventions_of_prometheus() -> None:
    """All names have the prefix of a ticker and base units."""
    watched = Watched()
    await watched.tick(1)
    for name, *_ in watched.read():
        assert re.fullmatch(r"(clock_ticker|process)_[a-z_]+", name)
        assert not re.search(r"_(ms|milliseconds|minutes)(_|$)", name)
