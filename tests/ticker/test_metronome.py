"""When it ticks, in virtual time."""

import time
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from clock.contract import format_time
from tests.ticker.machine import MS, SECOND, Machine
from ticker.metronome import MAX_AT, STUCK_NS, ImpossibleTime, Metronome, doze, read_clocks, wait_precisely

HOUR = 3_600 * SECOND


async def ticks(metronome: Metronome, count: int) -> list[int]:
    """Return the times of the next ticks."""
    return [await metronome.tick() for _ in range(count)]


def gaps(times: list[int]) -> list[int]:
    """Return the milliseconds from each tick to the next."""
    return [after - before for before, after in pairwise(times)]


async def test_ticks_lie_on_the_boundaries_of_the_wall_clock() -> None:
    """Started at 3 ms past, it ticks at 10, 20, 30: every boundary, and nothing but boundaries."""
    machine = Machine()
    times = await ticks(machine.metronome(), 5)
    assert times == [1_795_351_680_000 + at for at in (10, 20, 30, 40, 50)]
    assert machine.wall == times[-1] * MS


async def test_it_does_not_drift() -> None:
    """After 100,000 ticks, with an event loop that is a millisecond late each time, it is as exact as at the first."""
    machine = Machine()
    metronome = machine.metronome()
    times = await ticks(metronome, 100_000)
    assert set(gaps(times)) == {10}
    assert (metronome.count.skipped, metronome.count.worst_ns, metronome.step) == (0, 0, 0)


async def test_it_comes_back_to_the_loop_shortly_before_a_tick() -> None:
    """`approach` returns at most 2 ms before the next boundary, and at once if that is near."""
    machine = Machine()
    metronome = machine.metronome()
    assert await metronome.approach()
    assert 0 < 10 * MS - machine.wall % (10 * MS) <= 2 * MS
    before = machine.wall
    assert await metronome.approach()
    assert machine.wall == before
    machine.stall(2 * MS)
    assert not await metronome.approach()  # it is due


@pytest.mark.parametrize(
    ("stall", "expected", "skipped"),
    [
        # A timeline in ms: the tick of 10 is given, then nothing runs until:
        (7 * MS, [20, 30], 0),  # 17: in time for 20
        (12 * MS, [20, 30], 0),  # 22: 20 is late, and 30 comes in its time
        (38 * MS, [40, 50], 2),  # 48: the newest is 40; 20 and 30 are lost
        (500 * MS, [510, 520], 49),  # 510 exactly: the newest is 510
    ],
)
async def test_after_a_stall_it_goes_to_the_newest_boundary(stall: int, expected: list[int], skipped: int) -> None:
    """It skips what the stall swallowed, never bursts, and counts what it skipped."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.stall(stall)
    assert [at - first for at in await ticks(metronome, 2)] == expected
    assert metronome.count.skipped == skipped


async def test_what_is_excused_is_not_skipped() -> None:
    """A caller who knows what kept it takes the lost ticks upon itself; the newest is still to come."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.stall(38 * MS)
    assert metronome.discount() == 2
    assert await metronome.tick() - first == 40
    assert metronome.discount() == 0
    assert metronome.count.skipped == 0


async def test_an_oversleep_is_a_stall() -> None:
    """A machine that wakes 25 ms late gives the newest boundary, 5 ms late, and says how late it was."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.after(9 * MS, lambda: machine.stall(26 * MS))  # at 19 ms, until 45 ms
    assert [at - first for at in await ticks(metronome, 2)] == [40, 50]
    assert metronome.count.worst_ns == 5 * MS
    assert metronome.count.skipped == 2


@pytest.mark.parametrize("change", [HOUR, -HOUR, 25 * HOUR, -25 * HOUR, 50 * MS, -50 * MS, 13 * MS, -13 * MS])
async def test_when_the_wall_clock_is_set_the_ticks_go_on_from_the_new_time(change: int) -> None:
    """Whichever way it was set: one step, no tick lost, none late, and no burst."""
    machine = Machine()
    metronome = machine.metronome()
    before = await ticks(metronome, 3)
    machine.after(4 * MS, lambda: machine.set_wall_clock(change))
    after = await ticks(metronome, 100)
    assert metronome.step == 1
    assert metronome.count.skipped == 0
    assert set(gaps(after)) == {10}
    assert 0 < after[0] - before[-1] - change // MS <= 20
    assert metronome.count.worst_ns < 10 * MS


async def test_clocks_that_are_not_read_quite_together_bring_no_tick_too_many() -> None:
    """Set by an hour less a nanosecond, as it looks: the next tick is due when it would have been."""
    machine = Machine()
    metronome = machine.metronome()
    before = await metronome.tick()
    machine.after(4 * MS, lambda: machine.set_wall_clock(HOUR - 1))
    assert await metronome.tick() - before - HOUR // MS == 10


async def test_a_clock_that_lost_a_moment_is_waited_for() -> None:
    """Set back by 4 ms, less than a tick: no step, and no boundary comes twice."""
    machine = Machine()
    metronome = machine.metronome()
    before = await ticks(metronome, 3)
    machine.set_wall_clock(-4 * MS)
    assert set(gaps(before + await ticks(metronome, 10))) == {10}
    assert metronome.step == 0


async def test_a_slewed_clock_is_not_a_clock_that_was_set() -> None:
    """NTP slews by up to 500 ppm: an hour's worth of that is no step, not even over a stall of ten minutes."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.stall(600 * SECOND)
    machine.set_wall_clock(300 * MS)  # 500 ppm of it
    await metronome.tick()
    assert metronome.step == 0


async def test_suspend_is_a_stall() -> None:
    """The running clock runs on while the machine is suspended, so an hour of that is no step."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.stall(HOUR)
    await metronome.tick()
    assert (metronome.step, metronome.count.skipped) == (0, 360_000 - 1)


def wall_at(*when: int) -> int:
    """Return a moment of UTC in nanoseconds."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND  # type: ignore[misc,arg-type]


async def test_midnight() -> None:
    """The date changes with the hundredth."""
    metronome = Machine(wall_at(2026, 12, 31, 23, 59, 59) + 985 * MS).metronome()
    texts = [format_time(at, ZoneInfo("UTC")) for at in await ticks(metronome, 2)]
    assert texts == ["2026-12-31 23:59:59.99", "2027-01-01 00:00:00.00"]


@pytest.mark.parametrize(
    ("utc", "texts"),
    [
        # Berlin, 2026: on 29 March at 01:00 UTC from 02:00 to 03:00; on 25 October at 01:00 UTC from 03:00 to 02:00.
        ((2026, 3, 29, 0, 59, 59), ["2026-03-29 01:59:59.99", "2026-03-29 03:00:00.00"]),
        ((2026, 10, 25, 0, 59, 59), ["2026-10-25 02:59:59.99", "2026-10-25 02:00:00.00"]),
    ],
)
async def test_the_text_follows_the_zone_while_at_does_not_jump(utc: tuple[int, ...], texts: list[str]) -> None:
    """Summer time begins and ends in the text alone."""
    metronome = Machine(wall_at(*utc) + 985 * MS).metronome()
    times = await ticks(metronome, 2)
    assert gaps(times) == [10]
    assert metronome.step == 0
    assert [format_time(at, ZoneInfo("Europe/Berlin")) for at in times] == texts


@pytest.mark.parametrize("wall", [-1, -86_400 * SECOND, (MAX_AT + 1) * MS, 400_000 * 86_400 * 365 * SECOND, STUCK_NS])
async def test_a_time_that_cannot_be_told(wall: int) -> None:
    """Before 1970, after 9999, or where Python's clock ends: whoever looks at the clock is told, and how to mend it."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.wall = wall
    for look in (metronome.check, metronome.start, machine.metronome):
        with pytest.raises(ImpossibleTime, match="set it right"):
            look()
    with pytest.raises(ImpossibleTime):
        await metronome.tick()


@pytest.mark.parametrize("wall", [0, MAX_AT * MS - SECOND])
async def test_the_first_and_the_last_times_can_be_told(wall: int) -> None:
    """In every zone."""
    (at, *_) = await ticks(Machine(wall).metronome(), 3)
    for zone in ("Etc/GMT+12", "UTC", "Pacific/Kiritimati"):
        assert format_time(at, ZoneInfo(zone))


async def test_a_clock_that_stands_still_leaves_the_loop_its_turn() -> None:
    """It is waited for, but not so that nobody else runs."""
    machine = Machine()
    wall = machine.wall
    dozes = 0

    async def doze(duration: int) -> None:
        nonlocal dozes
        dozes += 1
        if dozes > 100:
            raise TimeoutError
        machine.wait(duration + MS)
        machine.wall = wall

    def wait(duration: int) -> None:
        assert machine.running < 6_000 * SECOND, "nobody else runs"
        machine.wait(duration)
        machine.wall = wall

    with pytest.raises(TimeoutError):
        await Metronome(machine.clocks, doze, wait).tick()


async def test_the_real_clocks_and_waits() -> None:
    """They go the right way: never early, whatever this machine does."""
    before, start = read_clocks(), time.monotonic_ns()
    await doze(3 * MS)
    wait_precisely(2 * MS)
    wait_precisely(MS // 100)
    elapsed, after = time.monotonic_ns() - start, read_clocks()
    assert elapsed >= 5 * MS
    assert after.running - before.running >= 5 * MS
    assert abs(before.wall - time.time_ns()) < 60 * SECOND
