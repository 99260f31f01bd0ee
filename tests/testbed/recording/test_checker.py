"""The fault suite's checker: forged records that it must reject, one for each rule, and those that it must accept."""

from dataclasses import replace

import pytest

from testbed.recording.checker import check
from testbed.recording.record import MS, Frame, Published, Record, Visit

START = 5_000_000 * MS
AT = 1_795_351_680_000
SPAN = (START, START + 3_000 * MS)


def published(count: int = 300, *, term: int = 1, step: int = 0, at: int = AT, begin: int = START) -> list[Published]:
    """Return so many ticks, each heard a millisecond after its time."""
    return [
        Published(term, step, at + 10 * number, came - MS, came)
        for number in range(count)
        for came in (begin + (10 * number + 1) * MS,)
    ]


def frames_of(ticks: list[Published]) -> list[Frame]:
    """Return a frame for each tick, 2 ms after it was heard."""
    return [Frame(tick.at, tick.came, tick.came + 2 * MS) for tick in ticks]


def record_of(ticks: list[Published], frames: list[Frame]) -> Record:
    """Return the record of one client."""
    visit = Visit(8001, START - MS, frames)
    return Record(ticks, [[visit]], wall_offset=AT - START / MS)


def test_all_is_well() -> None:
    """Every tick came, once, soon, and in its order."""
    ticks = published()
    assert check(record_of(ticks, frames_of(ticks)), [SPAN]) == []


def test_a_lower_rate_of_frames_is_well() -> None:
    """Where nobody says that the client should have had all."""
    ticks = published()
    assert check(record_of(ticks, frames_of(ticks)[::10])) == []


@pytest.mark.parametrize("back_by", [0, 10, 500])
def test_going_back_and_repeating(back_by: int) -> None:
    """Is seen, on one connection."""
    ticks = published()
    frames = frames_of(ticks)
    frames[200] = frames[200]._replace(at=frames[199].at - back_by)
    (fault,) = check(record_of(ticks, frames))
    assert "and the clock was not set" in fault


def test_going_back_at_a_step() -> None:
    """Is what a step is for: once for each."""
    ticks = [*published(150), *published(150, step=1, at=AT - 3_600_000, begin=START + 1_500 * MS)]
    record = record_of(ticks, frames_of(ticks))
    record.clock_set_by = {1: -3_600_000 - 1_500}
    assert check(record, [SPAN]) == []
    record.clients[0][0].frames += [
        replace_came(frame, START + 3_000 * MS) for frame in frames_of(ticks)[150:151]
    ]  # the first after the step, again
    assert "the clock was not set" in check(record)[0]


def replace_came(frame: Frame, came: int) -> Frame:
    """Return a frame that came at another time."""
    return Frame(frame.at, came - MS, came)


def test_a_back_step_over_times_that_were_published_before() -> None:
    """Set back by half a second: the same times come again, and a frame that repeats one of them does not."""
    ticks = [*published(150), *published(150, step=1, at=AT + 1_000, begin=START + 1_500 * MS)]
    frames = frames_of(ticks)
    record = record_of(ticks, frames)
    record.clock_set_by = {1: -500}
    assert check(record, [SPAN]) == []
    frames.insert(200, frames[199]._replace(came=frames[199].came + MS))
    assert len(check(record)) == 1


def test_a_tick_of_the_old_ticker_after_takeover() -> None:
    """Even where `at` rises."""
    ticks = [*published(100), *published(100, term=2, at=AT + 1_000, begin=START + 1_000 * MS)]
    old = Published(1, 0, AT + 2_000, START + 2_000 * MS, START + 2_001 * MS)
    frames = frames_of(ticks)
    assert check(record_of([*ticks, old], frames)) == []
    (fault,) = check(record_of([*ticks, old], [*frames, *frames_of([old])]))
    assert "is of term 1, and came after one of term 2" in fault


def test_what_was_never_published() -> None:
    """Did not come from the ticker."""
    ticks = published()
    frames = frames_of(ticks)
    frames[7] = frames[7]._replace(at=frames[7].at + 1)
    assert "was never published" in check(record_of(ticks, frames))[0]


@pytest.mark.parametrize(("late_by", "faults"), [(900, 0), (1_100, 1)])
def test_an_old_frame(late_by: int, faults: int) -> None:
    """One that was published more than a second before it came; its reader looked all the time."""
    ticks = published()
    frames = frames_of(ticks)
    late = [replace_came(frame, frame.came + late_by * MS) for frame in frames[100:101]]
    assert len(check(record_of(ticks, [*frames[:100], *late]))) == faults


def test_a_tick_that_was_published_late() -> None:
    """It is its own time that counts, by the ticker's clock, and not when the subscriber heard it."""
    ticks = published()
    ticks[-1] = ticks[-1]._replace(at=ticks[-1].at - 1_500)
    assert "ms late" in check(record_of(ticks, frames_of(ticks)[-1:]))[0]


def test_by_the_tickers_clock() -> None:
    """Which may have been set: then all is late, or nothing."""
    ticks = published(step=1, at=AT - 3_600_000)
    record = record_of(ticks, frames_of(ticks))
    assert len(check(record)) == 300
    record.clock_set_by = {1: -3_600_000}
    assert check(record) == []


@pytest.mark.parametrize(("count", "faults"), [(5, 0), (6, 1), (84, 1)])
def test_a_burst(count: int, faults: int) -> None:
    """So many frames at once."""
    ticks = published()
    frames = frames_of(ticks)
    moment = frames[-1].came
    burst = [replace_came(frame, moment + number * 1000) for number, frame in enumerate(frames[-count:])]
    assert len(check(record_of(ticks, [*frames[: -count - 3], *burst]))) == faults


def test_a_reader_that_was_late_saw_no_burst() -> None:
    """What it let lie for half a second may be 50 frames and 5; what is more is a burst."""
    ticks = published()
    frames = frames_of(ticks)
    for extra, faults in ((0, 0), (10, 1)):
        lay = 50 + extra
        moment = frames[-1].came
        late = [frame._replace(looked=moment - 500 * MS, came=moment) for frame in frames[-lay:]]
        assert len(check(record_of(ticks, [*frames[:-lay], *late]))) == faults


def test_ticks_that_did_not_come() -> None:
    """Two in a hundred are too many, but not before the client was there, nor where all was not well."""
    ticks = published()
    frames = [frame for number, frame in enumerate(frames_of(ticks)) if number % 50]
    record = record_of(ticks, frames)
    assert check(record) == []
    del record.clients[0][0].frames[100:106]
    assert "of 300 ticks came" in check(record, [SPAN])[0]
    assert check(record, [SPAN], share=0.9) == []
    record.clients[0][0] = replace(record.clients[0][0], opened=START + 2_500 * MS)
    assert check(record, [SPAN]) == []


def test_ticks_that_the_reader_could_not_tell_apart() -> None:
    """Where the subscriber found two at once, the worker may have, and only the newest counts there."""
    ticks = published()
    ticks[1::10] = [tick._replace(came=after.came) for tick, after in zip(ticks[1::10], ticks[2::10], strict=True)]
    frames = [frame for number, frame in enumerate(frames_of(ticks)) if number % 10 != 1]
    assert check(record_of(ticks, frames), [SPAN]) == []
    del frames[100:110]
    assert len(check(record_of(ticks, frames), [SPAN])) == 1


def test_a_silent_publisher_is_not_well() -> None:
    """Where nothing was published, the clients' share of it says nothing."""
    ticks = published(100)
    record = record_of(ticks, frames_of(ticks))
    assert check(record) == []
    assert check(record, [SPAN]) == ["100 ticks were published in 3.0 s"]


def test_what_came_when_the_record_ended() -> None:
    """Clients may be read once more than the subscriber is: that is no fault, but before it is."""
    ticks = published()
    frames = frames_of(ticks)
    assert check(record_of(ticks[:-1], frames)) == []
    assert check(record_of(ticks[:-2] + ticks[-1:], frames)) == [f"client 0: {frames[-2].at} was never published"]


def test_an_empty_record_proves_nothing() -> None:
    """Nobody heard anything, or nobody got anything."""
    assert check(record_of([], [])) == ["nothing was published"]
    assert check(record_of(published(), [])) == ["no client got anything"]


def test_what_came_before_the_record_began_is_not_judged() -> None:
    """Clients may have been let in a moment before the subscriber heard its first tick."""
    ticks = published()
    assert check(record_of(ticks[2:], frames_of(ticks)), []) == []
