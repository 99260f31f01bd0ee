"""A whole session by virtual time, with a clock whose every delay is known: rates, gaps, lateness, pauses, the end."""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from clock.watch import session as module
from clock.watch.failure import Kind
from clock.watch.limits import Limits
from clock.watch.probe import NoAnswer
from clock.watch.session import Plan, Session
from clock.watch.summary import Summary
from clock.watch.target import parse_target
from clock.watch.timeline import Answer
from tests.clock.watch.conftest import Record, VirtualTime

HOUR_MS = 3_600_000.0

# The round trip of a probe, and the bound of its answer, in milliseconds. So much is the lateness uncertain.
ROUND_TRIP_MS, BOUND_MS = 2.0, 0.5
UNCERTAIN_MS = ROUND_TRIP_MS / 2 + BOUND_MS + 0.1

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")


def closed(code: int, reason: str) -> ConnectionClosedError:
    """Return the end of a connection."""
    return ConnectionClosedError(Close(code, reason), None)


class Clock:
    """A clock whose ticker is `ahead_ms` of this machine, and whose frames arrive `late_ms` after their time.

    `visits` are the connections, in their order: how many frames arrive, and with which error the connection ends; None
    if it stays open. After the last one, all are like it.
    """

    def __init__(self, time: VirtualTime, *visits: tuple[int, Exception | None], late_ms: float = 1.0) -> None:
        self.ahead_ms = HOUR_MS
        self.period_ms = 10
        self.late_ms = late_ms
        self.has_time = True
        self.on_frame: Callable[[int], None] = lambda _: None
        self._time = time
        self._visits = [*(visits or [(1_000_000, None)])]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Visit"]:
        """Open a stream."""
        frames, error = self._visits[0] if len(self._visits) == 1 else self._visits.pop(0)
        if not frames and error is not None:
            raise error
        yield Visit(self, frames, error)

    def ask(self) -> Answer:
        """Answer a probe."""
        if not self.has_time:
            raise NoAnswer("none")
        now = self._time.now_ms
        at = now - ROUND_TRIP_MS / 2 + self.ahead_ms
        return Answer(now - ROUND_TRIP_MS, now, at, BOUND_MS, synchronised=True, version="v")

    def close(self) -> None:
        """Close the connection of the probes."""

    async def next_frame(self) -> str:
        """Return the next frame when it arrives."""
        ticker = round(self._time.now_ms + self.ahead_ms - self.late_ms, 3)
        at = int(ticker // self.period_ms + 1) * self.period_ms
        await asyncio.sleep((at - ticker) / 1_000)
        return json.dumps({"message": f"at {at}", "at": at})


class Visit:
    """One connection."""

    def __init__(self, clock: Clock, frames: int, error: Exception | None) -> None:
        self._clock, self._left, self._error = clock, frames, error

    async def recv(self) -> str:
        """Return the next frame, or raise the error, or wait for ever."""
        if self._left:
            self._left -= 1
            frame = await self._clock.next_frame()
            self._clock.on_frame(self._left)
            return frame
        if self._error is not None:
            raise self._error
        await asyncio.sleep(HOUR_MS)
        raise AssertionError


@pytest.fixture
def watch(virtual_time: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Summary, Record]]:
    """Return a function that watches a clock for two seconds, or as a plan says."""

    def watch(clock: Clock, *, stop_after_s: float | None = None, **plan: Any) -> tuple[Summary, Record]:
        monkeypatch.setattr(module, "opener", lambda *_: clock.open)
        monkeypatch.setattr(module, "Probe", lambda *_: clock)
        record = Record()

        async def run() -> Summary:
            stopping = asyncio.Event()
            if stop_after_s is not None:
                asyncio.get_running_loop().call_later(stop_after_s, stopping.set)
            target = parse_target("http://clock.example", plan.pop("rate", None))
            values = {"origin": target.origin, "duration_s": 2.0, **plan}
            return await Session(Plan(target=target, **values), record).run(stopping)

        return virtual_time.run(run()), record

    return watch


Watch = Callable[..., tuple[Summary, Record]]


def test_a_good_stream(watch: Watch, virtual_time: VirtualTime) -> None:
    """Rate, gap, lateness and bound are those of the clock, and limits that are just wide enough hold."""
    clock = Clock(virtual_time, late_ms=3.0)
    clock.period_ms = 20
    limits = Limits(min_rate=49.5, max_gap=20.1, max_lateness=3.0 + UNCERTAIN_MS, max_bound=1.6)
    summary, record = watch(clock, rate="50", limits=limits)
    assert summary.exit_code == 0, summary
    assert summary.seconds == pytest.approx(2.0)
    assert summary.total.frames in {100, 101}
    assert summary.total.rate == pytest.approx(50, abs=0.5)
    assert summary.total.longest_gap == pytest.approx(20)
    assert summary.total.lateness is not None
    for value in summary.total.lateness:
        assert value == pytest.approx(3.0, abs=UNCERTAIN_MS)
    assert summary.bound is not None
    assert 0.5 <= summary.bound <= 1.6
    assert (summary.worker_bound, summary.versions) == (0.5, ("v",))
    assert summary.stall == pytest.approx(0, abs=0.01)
    assert len(record.updates) == pytest.approx(2.0 / record.interval_s, abs=2)
    assert record.events == []


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ({"min_rate": 100.6}, "min_rate"),
        ({"max_gap": 9.9}, "max_gap"),
        ({"max_lateness": 3.0 - UNCERTAIN_MS}, "max_lateness"),
        ({"max_bound": 0.4}, "max_bound"),
    ],
)
def test_limits_that_are_just_too_narrow(
    watch: Watch, virtual_time: VirtualTime, limit: dict[str, float], name: str
) -> None:
    """The exit code is 1. There is no failure, because the stream is there."""
    summary, _ = watch(Clock(virtual_time, late_ms=3.0), limits=Limits(**limit))
    assert [(verdict.name, verdict.holds) for verdict in summary.verdicts] == [(name, False)]
    assert (summary.exit_code, summary.failure) == (1, None)


def test_lateness_is_on_the_tickers_timeline(watch: Watch, virtual_time: VirtualTime) -> None:
    """Frames that arrive 105 ms after their time are as late, although the ticker's clock is an hour ahead."""
    summary, _ = watch(Clock(virtual_time, late_ms=105.0))
    assert summary.total.lateness is not None
    assert summary.total.lateness.median == pytest.approx(105.0, abs=UNCERTAIN_MS)


def test_several_viewers(watch: Watch, virtual_time: VirtualTime) -> None:
    """Each has a connection of its own, and all of them count."""
    clock = Clock(virtual_time)
    clock.period_ms = 100
    summary, _ = watch(clock, viewers=20, rate="10")
    assert summary.exit_code == 0
    assert (summary.viewers, summary.connected, summary.connections) == (20, 20, 20)
    assert summary.total.frames in {20 * 20, 20 * 21}
    assert summary.worst_p99 == pytest.approx(1.0, abs=UNCERTAIN_MS)


def test_stopped_by_the_user(watch: Watch, virtual_time: VirtualTime) -> None:
    """The summary has everything up to then."""
    summary, _ = watch(Clock(virtual_time), duration_s=None, stop_after_s=0.5)
    assert summary.exit_code == 0
    assert summary.total.frames == pytest.approx(50, abs=1)


def test_a_worker_that_goes_away(watch: Watch, virtual_time: VirtualTime) -> None:
    """The viewer is back after a quarter of a second. Gap, close code and reconnect are counted and told."""
    clock = Clock(virtual_time, (20, closed(4012, "the worker is going away")), (1_000, None))
    summary, record = watch(clock)
    assert summary.exit_code == 0, summary
    assert (summary.closes, summary.reconnects) == ({"4012": 1}, 1)
    assert summary.total.longest_gap == pytest.approx(260)
    assert summary.total.long_gaps == 1
    assert record.events == [
        "closed with 4012: the worker is going away",
        "frames again, after 260 ms",
    ]


def test_a_worker_that_never_comes_back(watch: Watch, virtual_time: VirtualTime) -> None:
    """At the end the exit code is that of the last attempt, also without limits."""
    summary, _ = watch(Clock(virtual_time, (10, closed(1011, "")), (0, REFUSED)), duration_s=3.0)
    assert summary.failure is not None
    assert summary.failure.kind is Kind.REFUSED
    assert "no frame for the last 2.9 s: clock.example:80 refused" in str(summary.failure)
    assert summary.failures == {"refused": 3}, "after 0.25, 0.75 and 1.75 s"
    assert summary.total.longest_gap == pytest.approx(2_910, abs=10)


def test_a_stream_that_falls_silent(watch: Watch, virtual_time: VirtualTime) -> None:
    """It has not ended, but its viewer has had no frame for more than 2 s at the end."""
    for duration_s, kind in ((2.0, None), (2.2, Kind.SILENT)):
        summary, _ = watch(Clock(virtual_time, (10, None)), duration_s=duration_s)
        assert (summary.failure.kind if summary.failure else None) is kind


def test_a_program_that_stands_still(watch: Watch, virtual_time: VirtualTime) -> None:
    """It says for how long, because frames seem as late."""
    clock = Clock(virtual_time)
    clock.on_frame = lambda left: virtual_time.stand_still(0.3) if left == 999_900 else None
    summary, _ = watch(clock)
    assert summary.stall == pytest.approx(290, abs=10.1), "it looks every 20 ms"
    assert summary.total.longest_gap == pytest.approx(310, abs=10.1)
    assert summary.total.lateness is not None
    assert summary.total.lateness.p99 == pytest.approx(1.0, abs=UNCERTAIN_MS), "a single frame"


def test_without_probes_lateness_and_bound_are_unknown(watch: Watch, virtual_time: VirtualTime) -> None:
    """A limit on them does not hold then."""
    clock = Clock(virtual_time)
    clock.has_time = False
    summary, record = watch(clock, limits=Limits(max_lateness=1_000, max_bound=1_000))
    assert (summary.total.lateness, summary.bound) == (None, None)
    assert summary.unanswered == 2, "at once, and after a pause of 1.9 s"
    assert [verdict.holds for verdict in summary.verdicts] == [False, False]
    assert summary.exit_code == 1
    assert record.events == ["no time from a probe: none"]
