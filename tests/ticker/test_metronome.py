"""The metronome: when it ticks, in virtual time."""

import time
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from clock.contract import MAX_AT_MS, format_time
from tests.ticker.machine import MS, SECOND, Machine
from ticker.metronome import STUCK_NS, Metronome, TimeOutOfRange, read_clocks, sleep_coarsely, wait_precisely

HOUR = 3_600 * SECOND


async def ticks(metronome: Metronome, count: int) -> list[int]:
    """Return the times of the next ticks."""
    return [await metronome.tick() for _ in range(count)]


def gaps(times: list[int]) -> list[int]:
    """Return the milliseconds between consecutive ticks."""
    return [after - before for before, after in pairwise(times)]


async def test_ticks_lie_on_the_boundaries_of_the_wall_clock() -> None:
    """Started at 3 ms, it ticks at 10, 20, 30 ms and so on."""
    machine = Machine()
    times = await ticks(machine.metronome(), 5)
    assert times == [1_795_351_680_000 + at for at in (10, 20, 30, 40, 50)]
    assert machine.wall_ns == times[-1] * MS


async def test_it_does_not_drift() -> None:
    """After 100,000 ticks on an event loop that is always a millisecond late, the ticks are as exact as the first."""
    machine = Machine()
    metronome = machine.metronome()
    times = await ticks(metronome, 100_000)
    assert set(gaps(times)) == {10}
    assert (metronome.counts.skipped, metronome.counts.max_lateness_ns, metronome.step) == (0, 0, 0)


async def test_approach_returns_shortly_before_a_tick() -> None:
    """At most 2 ms before the next boundary, and at once if it is less."""
    machine = Machine()
    metronome = machine.metronome()
    assert await metronome.approach()
    assert 0 < 10 * MS - machine.wall_ns % (10 * MS) <= 2 * MS
    before = machine.wall_ns
    assert await metronome.approach()
    assert machine.wall_ns == before
    machine.stall(2 * MS)
    assert not await metronome.approach()  # it is due


@pytest.mark.parametrize(
    ("stall", "expected", "skipped"),
    [
        # A timeline in ms: it ticks at 10, then nothing runs until:
        (7 * MS, [20, 30], 0),  # 17: 20 is on time
        (12 * MS, [20, 30], 0),  # 22: 20 is late, and 30 is on time
        (38 * MS, [40, 50], 2),  # 48: the newest is 40, so 20 and 30 are skipped
        (500 * MS, [510, 520], 49),  # 510 exactly: the newest is 510
    ],
)
async def test_after_a_stall_it_continues_with_the_newest_boundary(
    stall: int, expected: list[int], skipped: int
) -> None:
    """It skips and counts the ticks that the stall has cost, and never sends a burst."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.stall(stall)
    assert [at - first for at in await ticks(metronome, 2)] == expected
    assert metronome.counts.skipped == skipped


async def test_discounted_ticks_do_not_count_as_skipped() -> None:
    """The caller counts them itself. The newest tick is still to come."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.stall(38 * MS)
    assert metronome.discount() == 2
    assert await metronome.tick() - first == 40
    assert metronome.discount() == 0
    assert metronome.counts.skipped == 0


async def test_an_oversleep_is_a_stall() -> None:
    """If the machine wakes 25 ms late, the newest tick is 5 ms late, and that is recorded."""
    machine = Machine()
    metronome = machine.metronome()
    first = await metronome.tick() - 10
    machine.after(9 * MS, lambda: machine.stall(26 * MS))  # at 19 ms, until 45 ms
    assert [at - first for at in await ticks(metronome, 2)] == [40, 50]
    assert metronome.counts.max_lateness_ns == 5 * MS
    assert metronome.counts.skipped == 2


@pytest.mark.parametrize("change", [HOUR, -HOUR, 25 * HOUR, -25 * HOUR, 50 * MS, -50 * MS, 13 * MS, -13 * MS])
async def test_when_the_wall_clock_is_set_the_ticks_continue_from_the_new_time(change: int) -> None:
    """Forwards or back: there is one step, and no tick is skipped, late or repeated."""
    machine = Machine()
    metronome = machine.metronome()
    before = await ticks(metronome, 3)
    machine.after(4 * MS, lambda: machine.set_wall_clock(change))
    after = await ticks(metronome, 100)
    assert metronome.step == 1
    assert metronome.counts.skipped == 0
    assert set(gaps(after)) == {10}
    assert 0 < after[0] - before[-1] - change // MS <= 20
    assert metronome.counts.max_lateness_ns < 10 * MS


async def test_clocks_that_are_not_read_at_the_same_moment_cause_no_extra_tick() -> None:
    """If the change seems to be an hour minus a nanosecond, the next tick is due when it would have been."""
    machine = Machine()
    metronome = machine.metronome()
    before = await metronome.tick()
    machine.after(4 * MS, lambda: machine.set_wall_clock(HOUR - 1))
    assert await metronome.tick() - before - HOUR // MS == 10


async def test_a_clock_that_goes_back_by_less_than_a_tick_is_waited_for() -> None:
    """Set back by 4 ms: there is no step, and no boundary is repeated."""
    machine = Machine()
    metronome = machine.metronome()
    before = await ticks(metronome, 3)
    machine.set_wall_clock(-4 * MS)
    assert set(gaps(before + await ticks(metronome, 10))) == {10}
    assert metronome.step == 0


async def test_a_slewed_clock_is_not_a_step() -> None:
    """NTP slews by up to 500 ppm, and that is no step even over a stall of ten minutes."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.stall(600 * SECOND)
    machine.set_wall_clock(300 * MS)  # 500 ppm of ten minutes
    await metronome.tick()
    assert metronome.step == 0


async def test_suspend_is_a_stall() -> None:
    """The monotonic clock continues while the machine is suspended, so an hour of suspend is not a step."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.stall(HOUR)
    await metronome.tick()
    assert (metronome.step, metronome.counts.skipped) == (0, 360_000 - 1)


def wall_at(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Return a time in UTC as nanoseconds since the Unix epoch."""
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * SECOND


async def test_midnight() -> None:
    """The date changes together with the hundredths."""
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
async def test_the_text_follows_the_zone_while_at_does_not_jump(
    utc: tuple[int, int, int, int, int, int], texts: list[str]
) -> None:
    """Summer time starts and ends only in the text."""
    metronome = Machine(wall_at(*utc) + 985 * MS).metronome()
    times = await ticks(metronome, 2)
    assert gaps(times) == [10]
    assert metronome.step == 0
    assert [format_time(at, ZoneInfo("Europe/Berlin")) for at in times] == texts


@pytest.mark.parametrize(
    "wall", [-1, -86_400 * SECOND, (MAX_AT_MS + 1) * MS, 400_000 * 86_400 * 365 * SECOND, STUCK_NS]
)
async def test_a_time_out_of_range_raises_an_error(wall: int) -> None:
    """Before 1970, after 9999, or where Python's clock ends. The text says what to do."""
    machine = Machine()
    metronome = machine.metronome()
    await metronome.tick()
    machine.wall_ns = wall
    for read in (metronome.check, metronome.start, machine.metronome):
        with pytest.raises(TimeOutOfRange, match="set the clock"):
            read()
    with pytest.raises(TimeOutOfRange):
        await metronome.tick()


@pytest.mark.parametrize("wall", [0, MAX_AT_MS * MS - SECOND])
async def test_the_first_and_the_last_times_are_supported(wall: int) -> None:
    """In every zone."""
    (at, *_) = await ticks(Machine(wall).metronome(), 3)
    for zone in ("Etc/GMT+12", "UTC", "Pacific/Kiritimati"):
        assert format_time(at, ZoneInfo(zone))


async def test_a_clock_that_does_not_advance_does_not_block_the_event_loop() -> None:
    """The metronome waits for it, and lets other callbacks run."""
    machine = Machine()
    wall = machine.wall_ns
    sleeps = 0

    async def sleep(duration_ns: int) -> None:
        nonlocal sleeps
        sleeps += 1
        if sleeps > 100:
            raise TimeoutError
        machine.wait(duration_ns + MS)
        machine.wall_ns = wall

    def wait(duration_ns: int) -> None:
        assert machine.monotonic_ns < 6_000 * SECOND, "the event loop is blocked"
        machine.wait(duration_ns)
        machine.wall_ns = wall

    with pytest.raises(TimeoutError):
        await Metronome(machine.clocks, sleep, wait).tick()


async def test_the_real_clocks_and_waits() -> None:
    """Both waits are never too short, however busy this machine is."""
    before, start = read_clocks(), time.monotonic_ns()
    await sleep_coarsely(3 * MS)
    wait_precisely(2 * MS)
    wait_precisely(MS // 100)
    elapsed, after = time.monotonic_ns() - start, read_clocks()
    assert elapsed >= 5 * MS
    assert after.monotonic_ns - before.monotonic_ns >= 5 * MS
    assert abs(before.wall_ns - time.time_ns()) < 60 * SECOND
