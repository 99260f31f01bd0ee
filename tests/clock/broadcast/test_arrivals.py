"""The arrivals: the lateness of ticks by the ticker's clock."""

from typing import Any

import pytest

from clock.broadcast.arrivals import REFRESH_S, Arrivals
from clock.contract import Tick
from clock.redis.comparison import Comparison

AT = 1_795_351_680_000

# Redis is 5 s ahead of the ticker's clock. The worker's clock began 1,000 s ago.
TICKER_AHEAD_MS = 5_000.0
WORKER_S = 1_000.0
WORKER_AHEAD_MS = AT + TICKER_AHEAD_MS - WORKER_S * 1_000


def tick(at: int = AT, **fields: Any) -> Tick:
    """Return a tick of a ticker that compares its clock with the Redis `one`."""
    return Tick(at, "x", server="one", ahead=TICKER_AHEAD_MS)._replace(**fields)


class Worker:
    """A worker's comparison, which a test may change."""

    def __init__(self) -> None:
        self.comparison: Comparison | None = Comparison("one", WORKER_AHEAD_MS, 0.2)
        self.reads = 0
        self.arrivals = Arrivals(self.read)

    def read(self) -> Comparison | None:
        """Return the present comparison."""
        self.reads += 1
        return self.comparison

    def recorded(self) -> tuple[float, Any]:
        """Return how many ticks were recorded, and the sum of their lateness in seconds."""
        values = {sample.name: sample.value for sample in self.arrivals.lateness.metric("x", "x").samples}
        return values["x_count"], pytest.approx(values["x_sum"], abs=1e-6)


def test_the_lateness_is_by_the_tickers_clock() -> None:
    """Whatever the two clocks show: 3 ms and 20 ms after the ticks were due."""
    worker = Worker()
    worker.arrivals.record(tick(), WORKER_S + 0.003)
    worker.arrivals.record(tick(AT + 10), WORKER_S + 0.030)
    assert worker.recorded() == (2, 0.023)
    assert worker.reads == 1


def test_nothing_is_recorded_while_the_offset_is_unknown() -> None:
    """Neither side has compared, or they compare with different servers."""
    worker = Worker()
    worker.arrivals.record(tick(server=""), WORKER_S)
    worker.arrivals.record(tick(server="other"), WORKER_S + REFRESH_S)
    worker.comparison = None
    worker.arrivals.record(tick(), WORKER_S + 2 * REFRESH_S)
    assert worker.recorded() == (0, 0)


@pytest.mark.parametrize("change", [{"step": 1}, {"term": 8}])
def test_another_clock_has_another_offset(change: dict[str, int]) -> None:
    """From the first tick of another leader on, or after the leader's clock was set."""
    worker = Worker()
    worker.arrivals.record(tick(), WORKER_S)
    worker.arrivals.record(tick(AT + 60_010, ahead=TICKER_AHEAD_MS - 60_000, **change), WORKER_S + 0.012)
    assert worker.recorded() == (2, 0.002)


def test_the_offset_is_refreshed() -> None:
    """Once a second, because clocks drift."""
    worker = Worker()
    worker.arrivals.record(tick(), WORKER_S)
    worker.comparison = Comparison("one", WORKER_AHEAD_MS + 1, 0.2)
    worker.arrivals.record(tick(AT + 10), WORKER_S + 0.010)
    assert worker.recorded() == (2, 0)
    worker.arrivals.record(tick(AT + 1_000), WORKER_S + REFRESH_S)
    assert worker.recorded() == (3, 0.001)
    assert worker.reads == 2
