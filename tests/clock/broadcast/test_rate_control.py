"""The rate control in virtual time: steps, ramps, noise, workers that share cores, and full workers."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from clock.broadcast.fan_out import FanOut
from clock.broadcast.load import VIEWER_COST
from clock.broadcast.rate_control import INTERVAL_S, MAX_DWELL_S, RateControl
from clock.contract import AUTO, StreamRequest

# Seconds of a core for a frame: what the benchmark measures, roughly.
FRAME_COST = 7e-6

# Seconds of a core for a second of ticks.
TICKS_COST = 0.03

AUTO_REQUEST = StreamRequest(AUTO, any_phase=True)


class SimulatedFanOut(FanOut):
    """A fan-out with so many viewers of `rate=auto`, and of 100 frames per second."""

    def __init__(self) -> None:
        super().__init__()
        self.auto_viewers = self.explicit_viewers = 0

    def __len__(self) -> int:
        return self.auto_viewers + self.explicit_viewers

    def viewers(self) -> dict[StreamRequest, int]:
        """Return the number of viewers of each request that has any."""
        counts = {AUTO_REQUEST: self.auto_viewers, StreamRequest(100): self.explicit_viewers}
        return {request: count for request, count in counts.items() if count}

    def frames_per_second(self, auto_rate: int) -> int:
        """Return the frames that are due in a second."""
        return self.auto_viewers * auto_rate + self.explicit_viewers * 100


class Simulation:
    """One worker of a host, in virtual time."""

    def __init__(self, host: "Host", generator: random.Random) -> None:
        self.fan_out = SimulatedFanOut()
        self.host = host
        self.frame_cost = FRAME_COST
        self.handshake_cost = 0.0  # of a core, while there is a storm
        self.cpu_s = 0.0
        self.rates: list[int] = []  # after each decision
        self.loads: list[float] = []  # demanded, in each interval
        self.control = RateControl(
            self.fan_out,
            now=lambda: host.now,
            cpu=lambda: self.cpu_s,
            jitter=generator.uniform,
        )

    @property
    def demand(self) -> float:
        """The share of a core that this worker needs to write every tick."""
        return (
            TICKS_COST
            + len(self.fan_out) * VIEWER_COST
            + self.fan_out.frames_per_second(self.fan_out.auto_rate) * self.frame_cost
            + self.handshake_cost
        )

    def work(self, granted: float) -> None:
        """Work for an interval with the share `granted` of a core."""
        counts = self.fan_out.counts
        ticks = 100 * INTERVAL_S
        written = ticks * min(1.0, granted / self.demand)
        frames = self.fan_out.frames_per_second(self.fan_out.auto_rate) * INTERVAL_S * written / ticks
        counts.rounds += round(written)
        counts.conflated += round(ticks) - round(written)
        counts.due += round(frames)
        counts.writing_s += frames * self.frame_cost
        self.cpu_s += min(granted, self.demand) * INTERVAL_S
        self.loads.append(self.demand)

    def decide(self) -> None:
        """Decide, and record the rate."""
        self.control.decide()
        self.rates.append(self.fan_out.auto_rate)

    def changes(self) -> list[tuple[int, int]]:
        """Return the changes of the rate, in order."""
        return [(before, after) for before, after in pairwise(self.rates) if before != after]


class Host:
    """A machine with so many cores, on which workers run."""

    def __init__(self, workers: int = 1, cores: float = 1.0, seed: int = 1) -> None:
        self.now = 1000.0
        self.cores = cores
        self.workers = [Simulation(self, random.Random(seed + index)) for index in range(workers)]

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Let the workers run. `each` is called before each interval."""
        for _ in range(round(seconds / INTERVAL_S)):
            each()
            demands = [min(1.0, worker.demand) for worker in self.workers]
            slowdown = max(1.0, sum(demands) / self.cores)
            for worker, demand in zip(self.workers, demands, strict=True):
                worker.work(demand / slowdown)
            self.now += INTERVAL_S
            for worker in self.workers:
                worker.decide()


def one_worker() -> tuple[Host, Simulation]:
    """Return a host with one worker."""
    host = Host()
    return host, host.workers[0]


def test_a_small_hall_gets_every_frame() -> None:
    """The rate stays at 100 while there is room."""
    host, worker = one_worker()
    worker.fan_out.auto_viewers = 800
    host.run(120)
    assert set(worker.rates) == {100}


@pytest.mark.parametrize(
    ("viewers", "rate"), [(400, 100), (800, 100), (1_500, 50), (2_500, 25), (4_000, 20), (5_000, 10), (9_000, 10)]
)
def test_a_step(viewers: int, rate: int) -> None:
    """Within a second the rate fits a crowd that is suddenly there, and it stays. When the crowd leaves, it is 100."""
    host, worker = one_worker()
    host.run(5)
    worker.fan_out.auto_viewers = viewers
    host.run(1)
    assert worker.rates[-1] == rate
    host.run(600)
    assert worker.loads[-1] <= 0.8
    assert set(worker.rates[30:]) == {rate}, "it stays"
    worker.fan_out.auto_viewers = 10
    host.run(60)
    assert worker.rates[-1] == 100
    assert [after > before for before, after in worker.changes()[1:]] == [True] * (len(worker.changes()) - 1)


def test_a_ramp() -> None:
    """A crowd that grows over ten minutes and leaves again lowers the rate step by step, and each step once."""
    host, worker = one_worker()

    def grow() -> None:
        elapsed_s = host.now - 1000.0
        worker.fan_out.auto_viewers = round(15 * min(elapsed_s, 1200 - elapsed_s))

    host.run(1200, grow)
    down = [change for change in worker.changes() if change[1] < change[0]]
    assert [before for before, _ in down] == sorted({before for before, _ in down}, reverse=True), "no step twice"
    assert min(worker.rates) == 10
    assert worker.rates[-1] == 100
    assert max(worker.loads) < 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_make_it_oscillate(seed: int) -> None:
    """Frames cost a quarter more or less from one interval to the next, at a load close to a threshold."""
    host, worker = one_worker()
    generator = random.Random(seed)
    worker.fan_out.auto_viewers = 900

    def disturb() -> None:
        worker.frame_cost = FRAME_COST * generator.uniform(0.75, 1.25)

    host.run(1800, disturb)
    assert len(worker.changes()) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_workers_that_share_cores(seed: int) -> None:
    """Four workers on two cores each slow the others down. None oscillates, and in the end none is overrun."""
    host = Host(workers=4, cores=2.0, seed=10 * seed)
    for worker in host.workers:
        worker.fan_out.auto_viewers = 1_200
    host.run(1800)
    for worker in host.workers:
        assert len(worker.changes()) <= 2 + 1800 / MAX_DWELL_S
        last = worker.changes()[-10:]
        assert len(last) < 10 or max(after for _, after in last) <= 50
    assert sum(worker.demand for worker in host.workers) <= 1.9


def test_conflation_lowers_the_rate_within_a_second() -> None:
    """Even if the prediction is wrong: here another process takes most of the core."""
    host, worker = one_worker()
    worker.fan_out.auto_viewers = 400
    host.run(10)
    host.cores = 0.2
    host.run(1)
    assert worker.rates[-1] < 100
    host.run(1)
    assert worker.demand < 0.2
    host.cores = 1.0
    host.run(60)
    assert worker.rates[-1] == 100


def test_a_rise_that_does_not_last_doubles_the_dwell_time() -> None:
    """A worker whose prediction is too low tries less and less often."""
    host, worker = one_worker()
    worker.fan_out.auto_viewers = 600

    def disturb() -> None:
        host.cores = 0.4 if worker.fan_out.auto_rate == 100 else 1.0

    host.run(1800, disturb)
    rises = [index * INTERVAL_S for index, (a, b) in enumerate(pairwise(worker.rates)) if b > a]
    assert 5 <= len(rises) <= 60
    waits = [after - before for before, after in pairwise(rises)]
    assert min(waits[-5:]) > 0.7 * MAX_DWELL_S


def test_explicit_rates_are_never_changed() -> None:
    """However high the load is. Only viewers that requested it get another rate."""
    host, worker = one_worker()
    worker.fan_out.explicit_viewers = 2_000
    worker.fan_out.auto_viewers = 100
    host.run(10)
    assert worker.rates[-1] == 10
    assert worker.fan_out.frames_per_second(10) == 2_000 * 100 + 100 * 10


def test_the_lowest_rate_can_be_limited() -> None:
    """`CLOCK_PAGE_RATE=auto:25`."""
    host, worker = one_worker()
    worker.control = RateControl(worker.fan_out, 25, now=lambda: host.now, cpu=lambda: worker.cpu_s)
    worker.fan_out.auto_viewers = 9_000
    host.run(10)
    assert worker.rates[-1] == 25
    assert worker.control.is_full


# --- Full ---


def fill(worker: Simulation, request: StreamRequest, per_interval: int) -> Callable[[], None]:
    """Return a function that lets viewers connect, as many as the worker admits."""

    def connect() -> None:
        for _ in range(per_interval):
            if worker.control.has_room_for(request):
                if request.rate == AUTO:
                    worker.fan_out.auto_viewers += 1
                else:
                    worker.fan_out.explicit_viewers += 1
        worker.handshake_cost = min(0.5, per_interval / INTERVAL_S * 0.0007)

    return connect


def test_a_crowd_at_the_lowest_rate_fills_a_worker() -> None:
    """It serves at least 9,000, and then refuses newcomers before it lacks more than a twelfth of a core."""
    host, worker = one_worker()
    host.run(30, fill(worker, AUTO_REQUEST, 250))
    worker.handshake_cost = 0.0
    host.run(30)
    assert worker.control.is_full
    assert 9_000 <= worker.fan_out.auto_viewers <= 13_500
    assert worker.demand < 1.08
    assert set(worker.rates[-100:]) == {10}


def test_handshakes_do_not_count_as_load() -> None:
    """A storm takes half of the core for a while, and 8,000 viewers are admitted all the same."""
    host, worker = one_worker()
    worker.fan_out.auto_viewers = 400
    host.run(60)
    host.run(8, fill(worker, AUTO_REQUEST, 250))
    assert worker.fan_out.auto_viewers == 8_400
    assert not worker.control.is_full


@pytest.mark.parametrize("request_", [AUTO_REQUEST, StreamRequest(100)])
def test_a_busy_machine_fills_no_small_worker(request_: StreamRequest) -> None:
    """It gets a third of what 150 viewers need. They lose frames, and nobody is refused."""
    host = Host(cores=0.05)
    (worker,) = host.workers
    host.run(10, fill(worker, request_, 4))
    worker.handshake_cost = 0.0
    host.run(60)
    assert len(worker.fan_out) == 160
    assert not worker.control.is_full
    assert worker.control.has_room_for(StreamRequest(100))


def test_high_explicit_rates_are_refused_first() -> None:
    """Then all newcomers."""
    host, worker = one_worker()
    requests = [StreamRequest(100), StreamRequest(20), StreamRequest(10), AUTO_REQUEST]
    most = dict.fromkeys(requests, 0)  # viewers with which a newcomer was accepted
    for _ in range(400):
        for request in requests:
            if worker.control.has_room_for(request):
                most[request] = worker.fan_out.auto_viewers
        worker.fan_out.auto_viewers += 50
        host.run(INTERVAL_S)
    assert most[requests[0]] == most[requests[1]] < most[requests[2]] == most[requests[3]]


def test_a_full_worker_opens_again_within_three_seconds() -> None:
    """Once enough viewers have left. It does not open and close with each of them."""
    host, worker = one_worker()
    host.run(20, fill(worker, AUTO_REQUEST, 1000))
    worker.handshake_cost = 0.0
    full = worker.fan_out.auto_viewers
    worker.fan_out.auto_viewers = full - 20
    host.run(3)
    assert worker.control.is_full
    worker.fan_out.auto_viewers = round(full * 0.85)
    host.run(3)
    assert not worker.control.is_full
    assert worker.control.has_room_for(AUTO_REQUEST)


def test_explicit_viewers_alone_overbook_a_worker_a_little() -> None:
    """They lose at most a sixth of their frames. Then a page is one too many, until enough of them have left."""
    host, worker = one_worker()
    host.run(20, fill(worker, StreamRequest(100), 20))
    worker.handshake_cost = 0.0
    assert 1_500 <= worker.fan_out.explicit_viewers <= 1_750
    assert 1.1 < worker.demand < 1.25
    host.run(20, fill(worker, AUTO_REQUEST, 20))
    assert worker.control.is_full
    assert worker.fan_out.auto_viewers < 100
    worker.fan_out.explicit_viewers -= 600
    host.run(3)
    assert worker.control.has_room_for(AUTO_REQUEST)


def test_explicit_viewers_do_not_overbook_pages() -> None:
    """Those at 100 frames per second are refused while the pages still get all the frames that they were left."""
    host, worker = one_worker()
    worker.fan_out.auto_viewers = 1_000
    host.run(20, fill(worker, StreamRequest(100), 20))
    worker.handshake_cost = 0.0
    assert worker.fan_out.explicit_viewers > 1_000
    assert worker.demand < 1.05
    assert worker.control.has_room_for(AUTO_REQUEST)
