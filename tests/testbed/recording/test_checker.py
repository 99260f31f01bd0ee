"""The checker of the fault suite: forged records that it must reject, one for each rule, and others."""

from dataclasses import replace

import pytest

from testbed.recording.checker import check
from testbed.recording.record import NS_PER_MS, Frame, Published, Record, Visit

START = 5_000_000 * NS_PER_MS
AT = 1_795_351_680_000
SPAN = (START, START + 3_000 * NS_PER_MS)


def published(count: int = 300, *, term: int = 1, step: int = 0, at: int = AT, begin: int = START) -> list[Published]:
    """Return so many ticks, each received a millisecond after its time."""
    return [
        Published(term, step, at + 10 * number, arrived_ns - NS_PER_MS, arrived_ns)
        for number in range(count)
        for arrived_ns in (begin + (10 * number + 1) * NS_PER_MS,)
    ]


def frames_of(ticks: list[Published]) -> list[Frame]:
    """Return a frame for each tick, 2 ms after that."""
    return [Frame(tick.at, tick.arrived_ns, tick.arrived_ns + 2 * NS_PER_MS) for tick in ticks]


def record_of(ticks: list[Published], frames: list[Frame]) -> Record:
    """Return the record of one client."""
    visit = Visit(8001, START - NS_PER_MS, frames)
    return Record(ticks, [[visit]], wall_offset_ms=AT - START / NS_PER_MS)


def test_a_healthy_run_is_accepted() -> None:
    """Every tick arrives once, soon and in order."""
    ticks = published()
    assert check(record_of(ticks, frames_of(ticks)), [SPAN]) == []


def test_a_lower_rate_is_accepted() -> None:
    """Missing ticks are a fault only in spans that are called healthy."""
    ticks = published()
    assert check(record_of(ticks, frames_of(ticks)[::10])) == []


@pytest.mark.parametrize("back_by", [0, 10, 500])
def test_a_step_back_or_a_repeat_is_rejected(back_by: int) -> None:
    """On one connection, `at` must rise."""
    ticks = published()
    frames = frames_of(ticks)
    frames[200] = frames[200]._replace(at=frames[199].at - back_by)
    (fault,) = check(record_of(ticks, frames))
    assert "and the clock was not set" in fault


def test_a_step_of_the_clock_may_go_back_once() -> None:
    """With a new `step` the time may go back; a second time is a fault."""
    ticks = [*published(150), *published(150, step=1, at=AT - 3_600_000, begin=START + 1_500 * NS_PER_MS)]
    record = record_of(ticks, frames_of(ticks))
    record.ticker_offset_ms = {1: -3_600_000 - 1_500}
    assert check(record, [SPAN]) == []
    record.clients[0][0].frames += [
        at_another_time(frame, START + 3_000 * NS_PER_MS) for frame in frames_of(ticks)[150:151]
    ]  # the first after the step, again
    assert "the clock was not set" in check(record)[0]


def at_another_time(frame: Frame, arrived_ns: int) -> Frame:
    """Return a frame that arrived at another time."""
    return Frame(frame.at, arrived_ns - NS_PER_MS, arrived_ns)


def test_a_step_back_over_published_times_is_accepted() -> None:
    """After a step back by half a second the same times arrive again. A frame that repeats one of them is a fault."""
    ticks = [*published(150), *published(150, step=1, at=AT + 1_000, begin=START + 1_500 * NS_PER_MS)]
    frames = frames_of(ticks)
    record = record_of(ticks, frames)
    record.ticker_offset_ms = {1: -500}
    assert check(record, [SPAN]) == []
    frames.insert(200, frames[199]._replace(arrived_ns=frames[199].arrived_ns + NS_PER_MS))
    assert len(check(record)) == 1


def test_a_tick_of_a_lower_term_after_a_takeover_is_rejected() -> None:
    """Even if its `at` is later."""
    ticks = [*published(100), *published(100, term=2, at=AT + 1_000, begin=START + 1_000 * NS_PER_MS)]
    old = Published(1, 0, AT + 2_000, START + 2_000 * NS_PER_MS, START + 2_001 * NS_PER_MS)
    frames = frames_of(ticks)
    assert check(record_of([*ticks, old], frames)) == []
    (fault,) = check(record_of([*ticks, old], [*frames, *frames_of([old])]))
    assert "is of term 1, and follows one of term 2" in fault


def test_a_frame_that_was_never_published_is_rejected() -> None:
    """Frames are the ticker's, unchanged."""
    ticks = published()
    frames = frames_of(ticks)
    frames[7] = frames[7]._replace(at=frames[7].at + 1)
    assert "was never published" in check(record_of(ticks, frames))[0]


@pytest.mark.parametrize(("late_by", "faults"), [(900, 0), (1_100, 1)])
def test_an_old_frame_is_rejected(late_by: int, faults: int) -> None:
    """A frame may be at most a second old, if its reader was ready all the time."""
    ticks = published()
    frames = frames_of(ticks)
    late = [at_another_time(frame, frame.arrived_ns + late_by * NS_PER_MS) for frame in frames[100:101]]
    assert len(check(record_of(ticks, [*frames[:100], *late]))) == faults


def test_a_tick_that_was_published_late_is_rejected() -> None:
    """Its own time counts, by the ticker's clock, and not when the subscriber received it."""
    ticks = published()
    ticks[-1] = ticks[-1]._replace(at=ticks[-1].at - 1_500)
    assert "ms late" in check(record_of(ticks, frames_of(ticks)[-1:]))[0]


def test_ages_are_by_the_tickers_clock() -> None:
    """If the ticker's clock is an hour behind, every frame is old, unless the record knows that offset."""
    ticks = published(step=1, at=AT - 3_600_000)
    record = record_of(ticks, frames_of(ticks))
    assert len(check(record)) == 300
    record.ticker_offset_ms = {1: -3_600_000}
    assert check(record) == []


@pytest.mark.parametrize(("count", "faults"), [(5, 0), (6, 1), (84, 1)])
def test_a_burst_is_rejected(count: int, faults: int) -> None:
    """At most five frames may arrive within 10 ms."""
    ticks = published()
    frames = frames_of(ticks)
    moment = frames[-1].arrived_ns
    burst = [at_another_time(frame, moment + number * 1000) for number, frame in enumerate(frames[-count:])]
    assert len(check(record_of(ticks, [*frames[: -count - 3], *burst]))) == faults


def test_a_late_reader_excuses_a_burst() -> None:
    """After half a second without reading, 50 frames and 5 more may be there; a larger number is a burst."""
    ticks = published()
    frames = frames_of(ticks)
    for extra, faults in ((0, 0), (10, 1)):
        count = 50 + extra
        moment = frames[-1].arrived_ns
        late = [frame._replace(ready_ns=moment - 500 * NS_PER_MS, arrived_ns=moment) for frame in frames[-count:]]
        assert len(check(record_of(ticks, [*frames[:-count], *late]))) == faults


def test_missing_ticks_are_rejected_in_healthy_spans() -> None:
    """Two in a hundred are too many, but not before the client connected, nor outside healthy spans."""
    ticks = published()
    frames = [frame for number, frame in enumerate(frames_of(ticks)) if number % 50]
    record = record_of(ticks, frames)
    assert check(record) == []
    del record.clients[0][0].frames[100:106]
    assert "of 300 ticks arrived" in check(record, [SPAN])[0]
    assert check(record, [SPAN], share=0.9) == []
    record.clients[0][0] = replace(record.clients[0][0], opened_ns=START + 2_500 * NS_PER_MS)
    assert check(record, [SPAN]) == []


def test_ticks_that_the_subscriber_read_together_may_be_missing() -> None:
    """If the subscriber read two at once, the worker may have done so, and then it sends only the newest."""
    ticks = published()
    ticks[1::10] = [
        tick._replace(arrived_ns=after.arrived_ns) for tick, after in zip(ticks[1::10], ticks[2::10], strict=True)
    ]
    frames = [frame for number, frame in enumerate(frames_of(ticks)) if number % 10 != 1]
    assert check(record_of(ticks, frames), [SPAN]) == []
    del frames[100:110]
    assert len(check(record_of(ticks, frames), [SPAN])) == 1


def test_a_silent_publisher_is_rejected_in_healthy_spans() -> None:
    """If little is published, the clients' share of it says nothing."""
    ticks = published(100)
    record = record_of(ticks, frames_of(ticks))
    assert check(record) == []
    assert check(record, [SPAN]) == ["100 ticks were published in 3.0 s"]


def test_the_last_frames_may_be_unknown() -> None:
    """At the end of a record clients may have been read once more than the subscriber. Before, that is a fault."""
    ticks = published()
    frames = frames_of(ticks)
    assert check(record_of(ticks[:-1], frames)) == []
    assert check(record_of(ticks[:-2] + ticks[-1:], frames)) == [f"client 0: {frames[-2].at} was never published"]


def test_an_empty_record_is_rejected() -> None:
    """A record without ticks or without frames proves nothing."""
    assert check(record_of([], [])) == ["nothing was published"]
    assert check(record_of(published(), [])) == ["no client received anything"]


def test_the_first_frames_may_be_unknown() -> None:
    """Clients may have connected just before the subscriber received its first tick."""
    ticks = published()
    assert check(record_of(ticks[2:], frames_of(ticks)), []) == []
