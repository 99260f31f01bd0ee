"""The fan-out: which viewer gets which tick, in which order, and how long the event loop has to wait."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from clock.asgi import DISCARD
from clock.broadcast.cohort import BATCH_SIZE
from clock.broadcast.fan_out import SLICE_S, FanOut
from clock.contract import AUTO, RATES, StreamRequest, Tick
from tests.conftest import FakeViewer, settle

# The start of a second.
START_MS = 1_795_351_680_000


def tick(number: int) -> Tick:
    """Return the tick with this number, counted from `START_MS`. Its frame is the number."""
    return Tick(START_MS + number * 10, str(number))


def add_viewers(fan_out: FanOut, count: int, rate: int = 100) -> list[FakeViewer]:
    """Return so many new viewers."""
    viewers = [FakeViewer() for _ in range(count)]
    for viewer in viewers:
        fan_out.join(viewer, StreamRequest(rate))
    return viewers


async def send(fan_out: FanOut, numbers: Iterable[int]) -> None:
    """Send ticks, and let each be written before the next."""
    for number in numbers:
        fan_out.send(tick(number))
        await settle()


# --- Who gets what ---


async def test_each_tick_goes_to_every_viewer() -> None:
    """In order, with the text of the ticker."""
    fan_out = FanOut()
    viewers = add_viewers(fan_out, 3)
    await send(fan_out, range(3))
    assert [viewer.texts for viewer in viewers] == [["0", "1", "2"]] * 3


async def test_all_viewers_get_the_same_object() -> None:
    """A frame is encoded once, for all rates and viewers."""
    fan_out = FanOut()
    viewers = add_viewers(fan_out, 50) + add_viewers(fan_out, 50, rate=10)
    await send(fan_out, [0])
    assert viewers[0].frames == [b"\x81\x010"]
    assert len({id(viewer.frames[0]) for viewer in viewers}) == 1


async def test_without_viewers_no_frame_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without viewers only receives the ticks."""

    def to_wire(_tick: Tick) -> bytes:
        raise AssertionError("encoded")

    monkeypatch.setattr(Tick, "to_wire", to_wire)
    fan_out = FanOut()
    fan_out._write_slice()  # before the first tick
    await send(fan_out, range(3))


def full_socket(_frame: bytes) -> int:
    """Do what the `send` of a full socket does."""
    raise BlockingIOError


async def test_a_viewer_with_a_full_socket_misses_the_frame() -> None:
    """It gets the next one. Nothing is queued, and other viewers are not affected."""
    fan_out = FanOut()
    slow, other = add_viewers(fan_out, 2)
    slow.use_writer(full_socket)
    await send(fan_out, range(2))
    slow.use_writer(slow.write)
    await send(fan_out, range(2, 4))
    assert (slow.texts, slow.rests, slow.errors) == (["2", "3"], [], [])
    assert other.texts == ["0", "1", "2", "3"]


async def test_after_a_partial_write_the_viewer_gets_the_rest() -> None:
    """It has to send the rest itself, before anything else."""
    fan_out = FanOut()
    slow, other = add_viewers(fan_out, 2)
    slow.use_writer(lambda _frame: 2)
    await send(fan_out, [0])
    assert slow.rests == [b"0"]
    assert (other.texts, other.rests) == (["0"], [])


async def test_a_viewer_gets_the_error_of_its_connection() -> None:
    """Other viewers are not affected."""

    def broken(_frame: bytes) -> int:
        raise ConnectionResetError

    fan_out = FanOut()
    disconnected, other = add_viewers(fan_out, 2)
    disconnected.use_writer(broken)
    await send(fan_out, [0])
    assert [type(error) for error in disconnected.errors] == [ConnectionResetError]
    assert (other.texts, other.errors) == (["0"], [])


async def test_a_new_writer_applies_to_the_current_round() -> None:
    """A viewer that sets DISCARD in the middle of a round gets no frame from then on."""
    fan_out, viewers, _ = add_slow_viewers(1000, seconds_per_frame=20e-6)
    fan_out.send(tick(0))  # one slice
    waiting = [viewer for viewer in viewers if not viewer.texts]
    assert len(waiting) > 100
    for viewer in waiting[:-1]:
        viewer.use_writer(DISCARD)
    await settle()
    assert [viewer.texts for viewer in waiting] == [[]] * (len(waiting) - 1) + [["0"]]


async def test_a_cohort_can_leave_during_a_round() -> None:
    """Viewers of other rates are not affected."""
    fan_out, viewers, _ = add_slow_viewers(1000, seconds_per_frame=20e-6)
    slow = add_viewers(fan_out, 5, rate=10)
    fan_out.send(tick(0))  # one slice
    for viewer in slow:
        fan_out.leave(viewer)
    await send(fan_out, [1])
    assert {tuple(viewer.texts) for viewer in viewers} == {("0", "1")}


async def test_a_viewer_that_has_left_cannot_set_a_writer() -> None:
    """Its connection may still change its writer, and that has no effect."""
    fan_out = FanOut()
    left, other = add_viewers(fan_out, 2)
    fan_out.leave(left)
    left.use_writer(left.write)
    await send(fan_out, range(2))
    left.use_writer(left.write)
    assert (left.texts, other.texts) == ([], ["0", "1"])


async def test_joining_and_leaving_during_a_round() -> None:
    """A viewer that has left gets nothing more. A new one gets its first frame in the next round at the latest."""
    fan_out, viewers, _ = add_slow_viewers(1000, seconds_per_frame=20e-6)
    fan_out.send(tick(0))  # one slice
    waiting = [viewer for viewer in viewers if not viewer.texts]
    for viewer in waiting:
        fan_out.leave(viewer)
    new = add_viewers(fan_out, 10)
    await send(fan_out, [1])
    assert {tuple(viewer.texts) for viewer in waiting} == {()}
    assert {viewer.texts[-1] for viewer in new} == {"1"}
    assert {tuple(viewer.texts) for viewer in viewers} == {(), ("0", "1")}
    assert len(fan_out) == 1010 - len(waiting)


def test_leaving_twice_or_without_joining_does_nothing() -> None:
    """A consumer always leaves at the end of a connection."""
    fan_out, viewer = FanOut(), FakeViewer()
    fan_out.leave(viewer)
    fan_out.join(viewer)
    fan_out.leave(viewer)
    fan_out.leave(viewer)
    assert not len(fan_out)


@pytest.mark.parametrize("rate", RATES)
async def test_a_lower_rate_gets_the_first_tick_of_each_period(rate: int) -> None:
    """Its writer is not called in between."""
    fan_out = FanOut()
    (viewer,) = add_viewers(fan_out, 1, rate)
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    viewer.on_write = count
    await send(fan_out, range(200))
    assert viewer.texts == [str(number) for number in range(0, 200, 100 // rate)]
    assert calls == 2 * rate


async def test_a_skipped_tick_does_not_cost_a_period() -> None:
    """If the first tick of a period is missing, the next one takes its place."""
    fan_out = FanOut()
    (slow,) = add_viewers(fan_out, 1, rate=10)
    await send(fan_out, (0, 1, 9, 11, 12, 27, 28, 45))
    assert slow.texts == ["0", "11", "27", "45"]


# --- Rounds ---


class FakeClock:
    """A clock (seconds) that advances only with each frame that is written."""

    def __init__(self, seconds_per_frame: float) -> None:
        self.now = 0.0
        self._seconds_per_frame = seconds_per_frame

    def read(self) -> float:
        """Return the time."""
        return self.now

    def advance(self) -> None:
        """Advance by the time of one frame."""
        self.now += self._seconds_per_frame


def add_slow_viewers(count: int, seconds_per_frame: float) -> tuple[FanOut, list[FakeViewer], FakeClock]:
    """Return a fan-out with viewers whose frames take time, and the clock that measures it."""
    clock = FakeClock(seconds_per_frame)
    fan_out = FanOut(now=clock.read)
    viewers = add_viewers(fan_out, count)
    for viewer in viewers:
        viewer.on_write = clock.advance
    return fan_out, viewers, clock


async def test_a_round_yields_to_the_event_loop() -> None:
    """After each slice of 5 ms other callbacks run. A handshake waits for a slice, not for the whole round."""
    fan_out, viewers, clock = add_slow_viewers(1000, seconds_per_frame=20e-6)
    times = [clock.now]
    fan_out.send(tick(0))
    times.append(clock.now)
    while any(not viewer.texts for viewer in viewers):
        await asyncio.sleep(0)
        times.append(clock.now)
    slices = [after - before for before, after in pairwise(times)]
    assert max(slices) < SLICE_S + BATCH_SIZE * 20e-6
    assert len(slices) >= 1000 * 20e-6 / SLICE_S


async def test_latest_wins_and_a_round_finishes_before_the_next_starts() -> None:
    """Ticks during a round do not interrupt it, and only the newest of them follows. So no viewer starves."""
    fan_out, viewers, _ = add_slow_viewers(1000, seconds_per_frame=25e-6)
    for number in range(4):
        fan_out.send(tick(number))
        await asyncio.sleep(0)  # the round takes five slices
    await settle()
    assert {tuple(viewer.texts) for viewer in viewers} == {("0", "3")}


async def test_the_cost_of_writing_is_processor_time() -> None:
    """Not the time that passes: other processes, or the host of a virtual machine, may take most of that."""
    passed, cpu = FakeClock(seconds_per_frame=0.004), FakeClock(seconds_per_frame=0.001)
    fan_out = FanOut(now=passed.read, cpu=cpu.read)

    def advance() -> None:
        passed.advance()
        cpu.advance()

    for viewer in add_viewers(fan_out, 100):
        viewer.on_write = advance
    await send(fan_out, [1])
    assert fan_out.counts.writing_s == pytest.approx(0.1)


@pytest.mark.parametrize("is_signalled", [True, False])
async def test_a_round_is_abandoned_after_the_process_was_suspended(*, is_signalled: bool) -> None:
    """SIGCONT ends the batch at once. After a suspend of the machine, the clock shows it at the end of the batch."""
    fan_out, viewers, clock = add_slow_viewers(3 * BATCH_SIZE, seconds_per_frame=1e-6)

    def suspend() -> None:
        viewers[7].on_write = clock.advance
        clock.now += 5
        if is_signalled:
            fan_out.skip_batch()

    viewers[7].on_write = suspend
    fan_out.send(tick(0))
    fan_out.send(tick(500))
    await settle()
    with_old_frame = [viewer for viewer in viewers if "0" in viewer.texts]
    assert len(with_old_frame) <= (8 if is_signalled else BATCH_SIZE)
    assert all(viewer.texts[-1] == "500" for viewer in viewers)


def recorder(values: list[int], value: int) -> Callable[[], None]:
    """Return a function that appends the value."""
    return lambda: values.append(value)


async def test_no_viewer_is_always_last() -> None:
    """Each round starts at another viewer. In as many rounds as there are viewers, each is first once."""
    fan_out = FanOut()
    viewers = add_viewers(fan_out, 5)
    order: list[int] = []
    for index, viewer in enumerate(viewers):
        viewer.on_write = recorder(order, index)
    await send(fan_out, range(5))
    rounds = [order[start : start + 5] for start in range(0, 25, 5)]
    assert sorted(one[0] for one in rounds) == [0, 1, 2, 3, 4]
    assert sorted(one[-1] for one in rounds) == [0, 1, 2, 3, 4]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)


def time_recorder(times: list[float], clock: FakeClock) -> Callable[[], None]:
    """Return a function that lets a frame take its time, and appends the time when it was written."""

    def on_write() -> None:
        clock.advance()
        times.append(clock.now)

    return on_write


async def send_on_time(fan_out: FanOut, clock: FakeClock, count: int) -> None:
    """Send so many ticks, each at its time, whatever is being written then."""
    for number in range(count):
        while clock.now < number * 0.010:
            if fan_out._is_scheduled:
                await asyncio.sleep(0)
            else:
                clock.now = number * 0.010
        fan_out.send(tick(number))
    await settle()


async def test_an_overloaded_worker_treats_all_viewers_alike() -> None:
    """If a round takes two ticks, each viewer gets every other tick, and its gaps are not longer than that."""
    fan_out, viewers, clock = add_slow_viewers(800, seconds_per_frame=25e-6)
    times: list[list[float]] = [[] for _ in viewers]

    for viewer, own in zip(viewers, times, strict=True):
        viewer.on_write = time_recorder(own, clock)
    await send_on_time(fan_out, clock, 100)
    counts = {len(own) for own in times}
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 48
    gaps = [after - before for own in times for before, after in pairwise(own)]
    assert max(gaps) < 0.042


async def test_a_worker_that_cannot_keep_up_sends_fewer_frames_but_in_time() -> None:
    """These viewers need one and a half cores at 10 frames per second. Yet no frame is late by three ticks."""
    clock = FakeClock(50e-6)
    fan_out = FanOut(now=clock.read)
    viewers = [FakeViewer() for _ in range(3000)]
    times: list[list[float]] = [[] for _ in viewers]
    for viewer, own in zip(viewers, times, strict=True):
        fan_out.join(viewer, StreamRequest(10, any_phase=True))
        viewer.on_write = time_recorder(own, clock)
    await send_on_time(fan_out, clock, 300)
    numbers = [list(map(int, viewer.texts)) for viewer in viewers]
    lateness = [
        at - number * 0.010
        for own_times, own_numbers in zip(times, numbers, strict=True)
        for at, number in zip(own_times, own_numbers, strict=True)
        if number < 299  # after the last one there is no newer one to send instead
    ]
    assert max(lateness) < 0.030
    counts = [len(own) for own in numbers]
    assert min(counts) >= 18
    assert max(counts) - min(counts) <= 2
    assert max(after - before for own in numbers for before, after in pairwise(own)) <= 18


async def test_who_has_waited_longest_comes_first() -> None:
    """Viewers at 100 frames per second do not push those of lower rates aside."""
    fan_out, fast, _ = add_slow_viewers(1000, seconds_per_frame=20e-6)
    slow = add_viewers(fan_out, 5, rate=50)
    fan_out.send(tick(0))  # one slice
    fan_out.send(tick(1))
    while not slow[-1].texts:
        await asyncio.sleep(0)
    assert {tuple(viewer.texts) for viewer in slow} == {("1",)}
    assert any("1" not in viewer.texts for viewer in fast)


async def test_at_the_full_rate_each_tick_is_for_all_cohorts() -> None:
    """Also if the next one arrives while it is written: viewers at `rate=auto` lose nothing by being in cohorts."""
    clock = FakeClock(30e-6)
    fan_out = FanOut(now=clock.read)
    viewers = [FakeViewer() for _ in range(300)]
    for viewer in viewers:
        fan_out.join(viewer, StreamRequest(AUTO, any_phase=True))
        viewer.on_write = clock.advance
    fan_out.send(tick(0))  # one slice
    fan_out.send(tick(1))
    await settle()
    assert {tuple(viewer.texts) for viewer in viewers} == {("0", "1")}


# --- How long it takes ---


def durations_of(fan_out: FanOut) -> tuple[float, Any]:
    """Return how many durations were recorded, and their sum in seconds."""
    values = {sample.name: sample.value for sample in fan_out.durations.metric("x", "x").samples}
    return values["x_count"], pytest.approx(values["x_sum"], abs=1e-9)


async def test_the_duration_is_from_the_arrival_of_a_tick_to_its_last_frame() -> None:
    """Over all slices. A tick that is due to nobody has none."""
    fan_out, _, clock = add_slow_viewers(1000, seconds_per_frame=5e-6)
    await send(fan_out, range(2))
    assert durations_of(fan_out) == (2, 0.01)
    quiet = FanOut(now=clock.read)
    add_viewers(quiet, 1, rate=10)
    for number in range(1, 20):
        clock.now += 0.01
        await send(quiet, [number])
    assert durations_of(quiet)[0] == 2


async def test_a_tick_that_is_overtaken_counts_with_the_time_until_then() -> None:
    """Otherwise a worker that never finishes in time would record nothing."""
    fan_out, _, clock = add_slow_viewers(1000, seconds_per_frame=20e-6)
    for number in range(3):
        fan_out.send(tick(number))  # one slice
        clock.now += 0.01
    assert durations_of(fan_out) == (2, clock.now - 0.01)
    await settle()
    assert durations_of(fan_out)[0] == 3
