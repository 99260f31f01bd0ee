"""The fan-out: who gets which tick, in what order, and how long the event loop has to wait for its turn."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import pytest

from clock.asgi import DISCARD
from clock.broadcast.fan_out import BATCH, SLICE, FanOut
from clock.contract import RATES, Tick
from tests.conftest import Client, settle

# A moment that begins a second.
START = 1_795_351_680_000


def tick(number: int) -> Tick:
    """Return the tick so many ticks after `START`; its frame is the number."""
    return Tick(START + number * 10, str(number))


def crowd(fan_out: FanOut, count: int, rate: int = 100) -> list[Client]:
    """Return so many new viewers."""
    viewers = [Client() for _ in range(count)]
    for viewer in viewers:
        fan_out.join(viewer, rate)
    return viewers


async def send(fan_out: FanOut, numbers: Iterable[int]) -> None:
    """Send ticks, and let each be written before the next."""
    for number in numbers:
        fan_out.send(tick(number))
        await settle()


# --- Who gets what ---


async def test_each_tick_goes_to_every_member() -> None:
    """In order, and the very text that the ticker wrote."""
    fan_out = FanOut()
    viewers = crowd(fan_out, 3)
    await send(fan_out, range(3))
    assert [viewer.got for viewer in viewers] == [["0", "1", "2"]] * 3


async def test_a_frame_is_one_object_for_all() -> None:
    """Made once, ready for the wire: whatever the rates and however many the viewers."""
    fan_out = FanOut()
    viewers = crowd(fan_out, 50) + crowd(fan_out, 50, rate=10)
    await send(fan_out, [0])
    assert viewers[0].frames == [b"\x81\x010"]
    assert len({id(viewer.frames[0]) for viewer in viewers}) == 1


async def test_without_members_nothing_is_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that nobody watches hears the ticks, and that is all."""

    def wire(_tick: Tick) -> bytes:
        raise AssertionError("framed")

    monkeypatch.setattr(Tick, "wire", wire)
    fan_out = FanOut()
    fan_out._run()  # nothing has been sent, either
    await send(fan_out, range(3))


class Full:
    """A function to write by that is a socket's `send` with no room for it."""

    def __call__(self, _frame: bytes) -> int:
        """Take nothing."""
        raise BlockingIOError


async def test_a_member_that_cannot_take_a_frame_misses_it() -> None:
    """It gets the next one, nothing is kept for it, and the others do not notice."""
    fan_out = FanOut()
    slow, other = crowd(fan_out, 2)
    slow.write_by(Full())
    await send(fan_out, range(2))
    slow.write_by(slow.write)
    await send(fan_out, range(2, 4))
    assert (slow.got, slow.rests, slow.errors) == (["2", "3"], [], [])
    assert other.got == ["0", "1", "2", "3"]


async def test_a_member_that_takes_a_part_is_given_the_rest() -> None:
    """To send before anything else; that is its own business."""
    fan_out = FanOut()
    slow, other = crowd(fan_out, 2)
    slow.write_by(lambda _frame: 2)
    await send(fan_out, [0])
    assert slow.rests == [b"0"]
    assert (other.got, other.rests) == (["0"], [])


async def test_a_member_whose_connection_is_broken_is_told() -> None:
    """And the others do not notice."""

    def broken(_frame: bytes) -> int:
        raise ConnectionResetError

    fan_out = FanOut()
    gone, other = crowd(fan_out, 2)
    gone.write_by(broken)
    await send(fan_out, [0])
    assert [type(error) for error in gone.errors] == [ConnectionResetError]
    assert (other.got, other.errors) == (["0"], [])


async def test_a_member_with_something_in_the_way_is_passed_over() -> None:
    """From that very moment, also in the middle of a round."""
    fan_out, viewers, _ = await slow_crowd(1000, seconds_a_frame=20e-6)
    fan_out.send(tick(0))  # one slice
    waiting = [viewer for viewer in viewers if not viewer.got]
    assert len(waiting) > 100
    for viewer in waiting[:-1]:
        viewer.write_by(DISCARD)
    await settle()
    assert [viewer.got for viewer in waiting] == [[]] * (len(waiting) - 1) + [["0"]]


async def test_a_cohort_that_leaves_during_a_round() -> None:
    """Whose turn had not come yet is not missed."""
    fan_out, viewers, _ = await slow_crowd(1000, seconds_a_frame=20e-6)
    slow = crowd(fan_out, 5, rate=10)
    fan_out.send(tick(0))  # one slice
    for viewer in slow:
        fan_out.leave(viewer)
    await send(fan_out, [1])
    assert {tuple(viewer.got) for viewer in viewers} == {("0", "1")}


async def test_who_has_left_cannot_come_back_by_its_place() -> None:
    """Its connection may change its mind about how to write, and is not asked."""
    fan_out = FanOut()
    gone, other = crowd(fan_out, 2)
    fan_out.leave(gone)
    gone.write_by(gone.write)
    await send(fan_out, range(2))
    gone.write_by(gone.write)
    assert (gone.got, other.got) == ([], ["0", "1"])


async def test_joining_and_leaving_during_a_round() -> None:
    """Who has left gets nothing more. Who joins is in by the next round at the latest."""
    fan_out, viewers, _ = await slow_crowd(1000, seconds_a_frame=20e-6)
    fan_out.send(tick(0))  # one slice
    waiting = [viewer for viewer in viewers if not viewer.got]
    for viewer in waiting:
        fan_out.leave(viewer)
    late = crowd(fan_out, 10)
    await send(fan_out, [1])
    assert {tuple(viewer.got) for viewer in waiting} == {()}
    assert {viewer.got[-1] for viewer in late} == {"1"}
    assert {tuple(viewer.got) for viewer in viewers} == {(), ("0", "1")}
    assert len(fan_out) == 1010 - len(waiting)


def test_leaving_twice_or_without_having_joined() -> None:
    """Nothing happens."""
    fan_out, viewer = FanOut(), Client()
    fan_out.leave(viewer)
    fan_out.join(viewer, 10)
    fan_out.leave(viewer)
    fan_out.leave(viewer)
    assert not len(fan_out)


@pytest.mark.parametrize("rate", RATES)
async def test_a_lower_rate_gets_the_first_tick_of_each_period(rate: int) -> None:
    """And is not so much as asked in between."""
    fan_out = FanOut()
    (viewer,) = crowd(fan_out, 1, rate)
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1

    viewer.on_write = ask
    await send(fan_out, range(200))
    assert viewer.got == [str(number) for number in range(0, 200, 100 // rate)]
    assert asked == 2 * rate


async def test_a_skipped_tick_does_not_cost_a_period() -> None:
    """If the tick of the full tenth is missing, the next one comes in its place."""
    fan_out = FanOut()
    (slow,) = crowd(fan_out, 1, rate=10)
    await send(fan_out, (0, 1, 9, 11, 12, 27, 28, 45))
    assert slow.got == ["0", "11", "27", "45"]


# --- Rounds ---


class Machine:
    """A clock (seconds) that only the viewers move: each frame takes a while."""

    def __init__(self, seconds_a_frame: float) -> None:
        self.now = 0.0
        self._seconds_a_frame = seconds_a_frame

    def read(self) -> float:
        """Return the time."""
        return self.now

    def work(self) -> None:
        """Spend the time that one frame takes."""
        self.now += self._seconds_a_frame


async def slow_crowd(count: int, seconds_a_frame: float) -> tuple[FanOut, list[Client], Machine]:
    """Return a fan-out whose viewers take their time, and the clock that shows it."""
    machine = Machine(seconds_a_frame)
    fan_out = FanOut(now=machine.read)
    viewers = crowd(fan_out, count)
    for viewer in viewers:
        viewer.on_write = machine.work
    return fan_out, viewers, machine


async def test_a_round_gives_the_event_loop_its_turn() -> None:
    """After each slice of 4 ms whatever else is ready runs: a handshake waits for that, and not for the whole crowd."""
    fan_out, viewers, machine = await slow_crowd(1000, seconds_a_frame=20e-6)
    turns = [machine.now]
    fan_out.send(tick(0))
    turns.append(machine.now)
    while any(not viewer.got for viewer in viewers):
        await asyncio.sleep(0)
        turns.append(machine.now)
    slices = [after - before for before, after in pairwise(turns)]
    assert max(slices) < SLICE + BATCH * 20e-6
    assert len(slices) >= 1000 * 20e-6 / SLICE


async def test_the_newest_wins_and_a_round_is_finished_before_the_next_begins() -> None:
    """Ticks in the middle of a round do not cut it short, and of several only the newest follows: nobody starves."""
    fan_out, viewers, _ = await slow_crowd(1000, seconds_a_frame=20e-6)
    for number in range(4):
        fan_out.send(tick(number))
        await asyncio.sleep(0)  # the round takes five slices
    await settle()
    assert {tuple(viewer.got) for viewer in viewers} == {("0", "3")}


@pytest.mark.parametrize("signalled", [True, False])
async def test_a_round_is_not_gone_on_with_after_a_standstill(*, signalled: bool) -> None:
    """SIGCONT tells at once that the process was stopped; of a machine the clock does, when a batch is done."""
    fan_out, viewers, machine = await slow_crowd(3 * BATCH, seconds_a_frame=1e-6)

    def stand_still() -> None:
        viewers[7].on_write = machine.work
        machine.now += 5
        if signalled:
            fan_out.look_up()

    viewers[7].on_write = stand_still
    fan_out.send(tick(0))
    fan_out.send(tick(500))
    await settle()
    old = [viewer for viewer in viewers if "0" in viewer.got]
    assert len(old) <= (8 if signalled else BATCH)
    assert all(viewer.got[-1] == "500" for viewer in viewers)


async def test_nobody_is_always_last() -> None:
    """Each round begins at another viewer, and in as many rounds as there are viewers each is the first once."""
    fan_out = FanOut()
    viewers = crowd(fan_out, 5)
    order: list[int] = []
    for index, viewer in enumerate(viewers):
        viewer.on_write = lambda index=index: order.append(index)  # type: ignore[misc]
    await send(fan_out, range(5))
    rounds = [order[start : start + 5] for start in range(0, 25, 5)]
    assert sorted(one[0] for one in rounds) == [0, 1, 2, 3, 4]
    assert sorted(one[-1] for one in rounds) == [0, 1, 2, 3, 4]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)


async def test_an_overloaded_worker_treats_all_alike() -> None:
    """Where a round takes two ticks, each gets every other tick and the gaps are no wider than that."""
    fan_out, viewers, machine = await slow_crowd(800, seconds_a_frame=25e-6)
    times: list[list[float]] = [[] for _ in viewers]
    for viewer, own in zip(viewers, times, strict=True):
        viewer.on_write = lambda own=own: (machine.work(), own.append(machine.now))  # type: ignore[misc]
    for number in range(100):
        while machine.now < number * 0.010:
            if fan_out._scheduled:
                await asyncio.sleep(0)
            else:
                machine.now = number * 0.010
        fan_out.send(tick(number))
    await settle()
    counts = {len(own) for own in times}
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 48
    gaps = [after - before for own in times for before, after in pairwise(own)]
    assert max(gaps) < 0.042
