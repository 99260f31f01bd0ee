"""The tick_filter: which ticks are taken, in virtual time."""

import pytest

from clock.broadcast.tick_filter import FORGET_AFTER, OLD_AFTER_MS, PERSUADED_AFTER, WINDOW, TickFilter
from clock.contract import MAX_AT, MAX_COUNT, MIN_AT, Tick

# A moment that begins a second.
START = 1_795_351_680_000


def tick(number: int, **marks: int) -> Tick:
    """Return the tick so many ticks after `START`."""
    return Tick(START + number * 10, str(number), **marks)


def taker() -> tuple[TickFilter, list[float]]:
    """Return a tick_filter, and its clock (seconds)."""
    now = [100.0]
    return TickFilter(lambda: now[0]), now


@pytest.mark.parametrize(
    ("before", "tick_", "taken"),
    [
        (tick(5), tick(6), True),
        (tick(5), tick(7), True),  # a gap is no reason
        (tick(5), tick(5), False),  # twice the same
        (tick(5), tick(4), False),  # back
        (tick(5), tick(4, step=1), True),  # back, and the clock was set
        (tick(5), tick(6, step=1), True),
        (tick(5, step=1), tick(4, step=1), False),
        (tick(5, step=2), tick(4, step=1), False),
        (tick(5, term=2), tick(6, term=1), False),  # a ticker that was taken over from
        (tick(5, term=2), tick(6, term=1, step=9), False),
        (tick(5, term=2), tick(6, term=3), True),  # one that took over
        (tick(5, term=2), tick(5, term=3), False),  # and has not heard what was told before
        (tick(5, term=2, step=4), tick(6, term=3, step=0), True),
    ],
)
def test_which_tick_is_taken(before: Tick, tick_: Tick, *, taken: bool) -> None:
    """`at` rises strictly, unless the clock was set; and a lower term has nothing more to say."""
    tick_filter, _ = taker()
    assert tick_filter.take(before)
    assert tick_filter.take(tick_) is taken


def test_two_tickers_of_one_term_are_not_told_twice() -> None:
    """Of two that tick side by side, one of which saw the clock set, each time comes once."""
    tick_filter, _ = taker()
    assert [tick_filter.take(one) for one in (tick(1, step=1), tick(1), tick(2), tick(2, step=1), tick(3, step=1))] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_after_three_seconds_any_tick_is_taken() -> None:
    """The old order has ended: Redis was restarted empty, or a new ticker knows of no term."""
    tick_filter, now = taker()
    assert tick_filter.take(tick(500, term=7, step=3))
    now[0] += FORGET_AFTER - 0.001
    assert not tick_filter.take(tick(1))
    now[0] += 0.001
    assert tick_filter.take(tick(1))
    assert not tick_filter.take(tick(0))
    assert tick_filter.take(tick(0, step=1))


# --- Old ticks ---


def flowing() -> tuple[TickFilter, list[float]]:
    """Return a tick_filter that has taken a second of ticks, each on time, and its clock."""
    tick_filter, now = taker()
    for number in range(100):
        assert tick_filter.take(tick(number))
        now[0] += 0.01
    return tick_filter, now


@pytest.mark.parametrize("marks", [{}, {"term": 1}])
def test_what_queued_while_the_worker_stood_still_is_dropped(marks: dict[str, int]) -> None:
    """All but the last second of it, also where another ticker has taken over meanwhile; then the ticks are new."""
    tick_filter, now = flowing()
    now[0] += 5
    taken = [number for number in range(100, 601) if tick_filter.take(tick(number, **marks))]
    assert taken[0] == 600 - OLD_AFTER_MS / 10
    assert taken[-1] == 600


def test_a_tick_that_is_a_little_late_is_taken() -> None:
    """Up to a second: it is still the newest."""
    tick_filter, now = flowing()
    now[0] += OLD_AFTER_MS / 1000
    assert tick_filter.take(tick(100))
    now[0] += 0.011
    assert not tick_filter.take(tick(101))


def test_ticks_that_stay_late_are_of_another_clock() -> None:
    """A ticker that knows nothing of the one before it, on a host whose clock is behind."""
    tick_filter, now = flowing()
    now[0] += 2
    began = now[0]
    for number in range(100, 400):
        if tick_filter.take(tick(number, term=1)):
            break
        now[0] += 0.01
    assert now[0] - began == pytest.approx(PERSUADED_AFTER, abs=0.011)
    now[0] += 0.01
    assert tick_filter.take(tick(number + 1, term=1))


def test_a_clock_that_was_set_is_not_late() -> None:
    """Back by an hour: its ticks come when they are due."""
    tick_filter, now = flowing()
    for number in range(3):
        assert tick_filter.take(tick(number - 360_000, step=1))
        now[0] += 0.01
    now[0] += 5
    assert not tick_filter.take(tick(3 - 360_000, step=1))


def test_clocks_that_drift_apart_are_not_late() -> None:
    """At 500 ppm, for an hour: what was least late is forgotten in time."""
    tick_filter, now = taker()
    for number in range(0, 360_000, 100):
        assert tick_filter.take(tick(number))
        now[0] += 1.0005
    assert now[0] - 100 > 60 * WINDOW


# --- Forged ticks ---


@pytest.mark.parametrize("at", [MIN_AT, START, START + 60_000, MAX_AT])
@pytest.mark.parametrize("term", [0, 1, 2, MAX_COUNT])
@pytest.mark.parametrize("step", [0, 3, 4, MAX_COUNT])
def test_what_a_forged_tick_does_is_over_in_four_seconds(at: int, term: int, step: int) -> None:
    """Three until the old order has ended, and one until it is plain that the clock that ticks is not late.

    From then on it is as if it had never come: a clock that is set is followed at once.
    """
    tick_filter, now = taker()
    number = 0

    def pass_time(seconds: float, *, step: int = 3, back: int = 0) -> list[bool]:
        nonlocal number
        taken = []
        for _ in range(round(seconds * 100)):
            now[0] += 0.01
            number += 1
            taken.append(tick_filter.take(tick(number - back, term=1, step=step)))
        return taken

    assert all(pass_time(1))
    tick_filter.take(Tick(at, "forged", term=term, step=step))
    pass_time(FORGET_AFTER + PERSUADED_AFTER + 0.02)
    assert all(pass_time(5))
    assert all(pass_time(1, step=4, back=360_000))
    assert all(pass_time(1, step=5))
