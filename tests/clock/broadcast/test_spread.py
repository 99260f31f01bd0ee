"""Phases: viewers that take any tick of a period are spread over it, whoever comes and goes, at any rate."""

import random
from itertools import pairwise

import pytest

from clock.broadcast.fan_out import FanOut
from clock.broadcast.spread import AUTO_PHASES, Spread
from clock.contract import AUTO, AUTO_RATES, RATES, StreamRequest, Tick
from tests.conftest import FakeViewer, settle

# The start of a second.
START_MS = 1_795_351_680_000

ANY_PHASE_RATES = [rate for rate in RATES if rate < 100]


class Hall:
    """A fan-out with viewers that record which ticks they receive: `times` has their numbers, from 0."""

    def __init__(self) -> None:
        self.fan_out = FanOut()
        self.number = 0
        self.viewers: list[FakeViewer] = []

    def join(self, count: int, request: StreamRequest) -> list[FakeViewer]:
        """Add viewers."""
        new = [FakeViewer() for _ in range(count)]
        for viewer in new:
            self.fan_out.join(viewer, request)
        self.viewers += new
        return new

    def leave(self, viewer: FakeViewer) -> None:
        """Remove a viewer."""
        self.fan_out.leave(viewer)
        self.viewers.remove(viewer)

    async def run(self, ticks: int, *, conflate: float = 0.0) -> None:
        """Send so many ticks. A share of them is conflated, drawn at random."""
        for _ in range(ticks):
            if random.random() >= conflate:
                self.fan_out.send(Tick(START_MS + self.number * 10, str(self.number)))
                await settle()
            self.number += 1

    def largest_gap(self) -> int:
        """Return the largest gap of a viewer, in ticks. Nobody has received a tick twice, or an older one."""
        assert min(after - before for viewer in self.viewers for before, after in pairwise(times(viewer))) > 0
        return max(after - before for viewer in self.viewers for before, after in pairwise(times(viewer)))

    def per_tick(self, since: int) -> list[int]:
        """Return how many viewers received each tick from number `since` on."""
        counts = [0] * (self.number - since)
        for viewer in self.viewers:
            for number in times(viewer):
                if number >= since:
                    counts[number - since] += 1
        return counts


def times(viewer: FakeViewer) -> list[int]:
    """Return the numbers of the ticks that a viewer received."""
    return [int(text) for text in viewer.texts]


@pytest.mark.parametrize("rate", ANY_PHASE_RATES)
async def test_viewers_of_any_phase_are_spread_evenly(rate: int) -> None:
    """Each tick of a period serves as many as any other, give or take one, and each viewer has its own rhythm."""
    hall, period = Hall(), 100 // rate
    hall.join(3 * period + 1, StreamRequest(rate, any_phase=True))
    await hall.run(1)
    await hall.run(2 * period)
    assert set(hall.per_tick(since=1)) == {3, 4}
    assert {after - before for viewer in hall.viewers for before, after in pairwise(times(viewer)[1:])} <= {period}


async def test_a_rate_alone_keeps_its_phase() -> None:
    """Ten frames a second are whole tenths, beside others that take any phase."""
    hall = Hall()
    exact = hall.join(20, StreamRequest(10))
    hall.join(20, StreamRequest(10, any_phase=True))
    await hall.run(50)
    assert [times(viewer) for viewer in exact] == [[0, 10, 20, 30, 40]] * 20


@pytest.mark.parametrize("request_", [StreamRequest(10, any_phase=True), StreamRequest(AUTO, any_phase=True)])
async def test_phases_are_even_again_after_many_have_left(request_: StreamRequest) -> None:
    """Of the viewers, all of half of the phases leave. The rest are spread anew, and nobody has a longer gap."""
    hall = Hall()
    hall.fan_out.auto_rate = 10
    hall.join(400, request_)
    await hall.run(20)
    for viewer in [viewer for viewer in hall.viewers if times(viewer)[-1] % 10 < 5]:
        hall.leave(viewer)
    assert len(hall.viewers) == 200
    await hall.run(20)
    settled = hall.number
    await hall.run(30)
    assert set(hall.per_tick(since=settled)) == {20}
    assert hall.largest_gap() <= 10


@pytest.mark.parametrize("request_", [StreamRequest(10, any_phase=True), StreamRequest(AUTO, any_phase=True)])
async def test_churn_does_not_disturb_anybody(request_: StreamRequest) -> None:
    """Viewers come and go in each tick. The phases stay nearly even, and no gap is longer than a period."""
    generator = random.Random(1)
    hall = Hall()
    hall.fan_out.auto_rate = 10
    for _ in range(300):
        hall.join(generator.randrange(8), request_)
        for viewer in generator.sample(hall.viewers, min(len(hall.viewers), generator.randrange(7))):
            hall.leave(viewer)
        await hall.run(1)
    (spread,) = hall.fan_out._spreads.values()
    assert max(spread.sizes()) - min(spread.sizes()) <= 8
    assert hall.largest_gap() <= 10


async def test_nobody_moves_to_a_phase_that_waits_for_the_same_tick() -> None:
    """At 10 frames per second two of the phases of `rate=auto` get each tick. Who moved there would get it twice."""
    hall = Hall()
    hall.fan_out.auto_rate = 10
    viewers = hall.join(4 * AUTO_PHASES, StreamRequest(AUTO, any_phase=True))
    await hall.run(20)
    (spread,) = hall.fan_out._spreads.values()
    for phase in range(AUTO_PHASES):
        # Viewers joined phase by phase. One phase keeps four, the one that gets the same ticks keeps one.
        for viewer in viewers[phase::AUTO_PHASES][{0: 4, 10: 1}.get(phase, 2) :]:
            hall.leave(viewer)
    assert spread.sizes()[0] == 4
    assert spread.sizes()[10] == 1
    await hall.run(100)
    assert spread.sizes()[0] <= 3
    assert hall.largest_gap() <= 10


async def test_a_change_of_rate_leaves_no_gap() -> None:
    """`at` rises, nobody gets a tick twice, and no gap exceeds the longer period, however often the rate changes."""
    generator = random.Random(2)
    hall = Hall()
    hall.join(100, StreamRequest(AUTO, any_phase=True))
    explicit = hall.join(5, StreamRequest(50))
    periods: list[int] = []  # of each tick
    for _ in range(60):
        hall.fan_out.auto_rate = generator.choice(AUTO_RATES)
        await hall.run(generator.randrange(1, 40))
        periods += [100 // hall.fan_out.auto_rate] * (hall.number - len(periods))
    for viewer in hall.viewers[:100]:
        for before, after in pairwise(times(viewer)):
            assert after - before <= max(periods[before : after + 1])
    for viewer in hall.viewers:
        assert all(after > before for before, after in pairwise(times(viewer)))
    assert {tuple(times(viewer)) for viewer in explicit} == {tuple(range(0, hall.number, 2))}


@pytest.mark.parametrize("rate", AUTO_RATES)
async def test_phases_are_even_at_each_rate(rate: int) -> None:
    """Nobody moves when the rate changes."""
    hall = Hall()
    hall.join(2 * AUTO_PHASES, StreamRequest(AUTO, any_phase=True))
    await hall.run(1)
    hall.fan_out.auto_rate = rate
    await hall.run(10)
    since = hall.number
    await hall.run(20)
    assert set(hall.per_tick(since=since)) == {2 * AUTO_PHASES * rate // 100}


async def test_newcomers_start_at_the_current_rate() -> None:
    """Also the first one."""
    hall = Hall()
    hall.fan_out.auto_rate = 20
    (viewer,) = hall.join(1, StreamRequest(AUTO, any_phase=True))
    await hall.run(100)
    assert len(times(viewer)) in {20, 21}
    assert hall.fan_out.frames_per_second(50) == 50


async def test_a_phase_whose_tick_was_conflated_gets_the_next() -> None:
    """A third of the ticks is conflated, and no gap exceeds a period by more than what was conflated in a row."""
    random.seed(3)
    hall = Hall()
    hall.join(100, StreamRequest(10, any_phase=True))
    await hall.run(300, conflate=0.3)
    assert min(len(times(viewer)) for viewer in hall.viewers) >= 29
    assert hall.largest_gap() <= 10 + 8


@pytest.mark.parametrize(
    "request_", [StreamRequest(AUTO, any_phase=True), *map(StreamRequest, RATES), StreamRequest(10, any_phase=True)]
)
@pytest.mark.parametrize("step", [-100_000, -7, 3, 100_000], ids=lambda step: f"{step} ticks")
async def test_a_change_of_the_tickers_clock_stops_nobody(request_: StreamRequest, step: int) -> None:
    """However far it is set back or forward, each viewer gets as many ticks as before."""
    hall = Hall()
    hall.number = 200_000
    hall.fan_out.auto_rate = 20
    hall.join(40, request_)
    await hall.run(100)
    before = {viewer: len(viewer.texts) for viewer in hall.viewers}
    hall.number += step
    await hall.run(100)
    for viewer in hall.viewers:
        assert abs(len(viewer.texts) - 2 * before[viewer]) <= 2


def test_a_spread_knows_its_size() -> None:
    """Leaving twice has no effect."""
    spread = Spread.of(StreamRequest(10, any_phase=True), auto_rate=100)
    viewer = FakeViewer()
    spread.join(viewer)
    assert len(spread) == sum(spread.sizes()) == 1
    assert spread.leave(viewer)
    assert not spread.leave(viewer)
    assert len(spread) == sum(spread.sizes()) == 0
