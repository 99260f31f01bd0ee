"""The tick filter: which ticks are accepted, in virtual time."""

import pytest

from clock.broadcast.tick_filter import FORGET_AFTER_S, MAX_LATENESS_MS, OLD_CLOCK_AFTER_S, WINDOW_S, TickFilter
from clock.contract import MAX_AT_MS, MAX_COUNTER, MIN_AT_MS, Tick

# The start of a second.
START_MS = 1_795_351_680_000


def tick(number: int, *, term: int = 0, step: int = 0) -> Tick:
    """Return the tick with this number, counted from `START_MS`."""
    return Tick(START_MS + number * 10, str(number), term, step)


def new_filter() -> tuple[TickFilter, list[float]]:
    """Return a tick filter and its clock (seconds)."""
    now = [100.0]
    return TickFilter(lambda: now[0]), now


@pytest.mark.parametrize(
    ("previous", "next_", "is_accepted"),
    [
        (tick(5), tick(6), True),
        (tick(5), tick(7), True),  # a gap does not matter
        (tick(5), tick(5), False),  # a repeat
        (tick(5), tick(4), False),  # back
        (tick(5), tick(4, step=1), True),  # back, because the clock was set
        (tick(5), tick(6, step=1), True),
        (tick(5, step=1), tick(4, step=1), False),
        (tick(5, step=2), tick(4, step=1), False),
        (tick(5, term=2), tick(6, term=1), False),  # a former leader
        (tick(5, term=2), tick(6, term=1, step=9), False),
        (tick(5, term=2), tick(6, term=3), True),  # a new leader
        (tick(5, term=2), tick(5, term=3), False),  # a new leader that missed the last tick
        (tick(5, term=2, step=4), tick(6, term=3, step=0), True),
    ],
)
def test_which_tick_is_accepted(previous: Tick, next_: Tick, *, is_accepted: bool) -> None:
    """`at` rises strictly, unless the clock was set. A lower term is dropped."""
    tick_filter, _ = new_filter()
    assert tick_filter.accept(previous)
    assert tick_filter.accept(next_) is is_accepted


def test_two_tickers_of_one_term_do_not_repeat_a_time() -> None:
    """If two tickers publish with the same term and only one saw the clock set, each time is accepted once."""
    tick_filter, _ = new_filter()
    ticks = (tick(1, step=1), tick(1), tick(2), tick(2, step=1), tick(3, step=1))
    assert [tick_filter.accept(one) for one in ticks] == [True, False, True, False, True]


def test_after_three_seconds_of_silence_any_tick_is_accepted() -> None:
    """Redis was restarted empty, or a new ticker does not know the term."""
    tick_filter, now = new_filter()
    assert tick_filter.accept(tick(500, term=7, step=3))
    now[0] += FORGET_AFTER_S - 0.001
    assert not tick_filter.accept(tick(1))
    now[0] += 0.001
    assert tick_filter.accept(tick(1))
    assert not tick_filter.accept(tick(0))
    assert tick_filter.accept(tick(0, step=1))


# --- Old ticks ---


def new_flowing_filter() -> tuple[TickFilter, list[float]]:
    """Return a filter that has accepted one second of punctual ticks, and its clock."""
    tick_filter, now = new_filter()
    for number in range(100):
        assert tick_filter.accept(tick(number))
        now[0] += 0.01
    return tick_filter, now


@pytest.mark.parametrize("term", [0, 1])
def test_ticks_that_queued_while_the_worker_stalled_are_dropped(term: int) -> None:
    """All but the last second of them, even if another ticker took over meanwhile. New ticks are accepted."""
    tick_filter, now = new_flowing_filter()
    now[0] += 5
    accepted = [number for number in range(100, 601) if tick_filter.accept(tick(number, term=term))]
    assert accepted[0] == 600 - MAX_LATENESS_MS / 10
    assert accepted[-1] == 600


def test_a_tick_that_is_up_to_a_second_late_is_accepted() -> None:
    """It is still the newest."""
    tick_filter, now = new_flowing_filter()
    now[0] += MAX_LATENESS_MS / 1000
    assert tick_filter.accept(tick(100))
    now[0] += 0.011
    assert not tick_filter.accept(tick(101))


def test_ticks_that_stay_late_come_from_another_clock() -> None:
    """For example from a ticker that knows no previous tick, on a host whose clock is behind."""
    tick_filter, now = new_flowing_filter()
    now[0] += 2
    start = now[0]
    for number in range(100, 400):
        if tick_filter.accept(tick(number, term=1)):
            break
        now[0] += 0.01
    assert now[0] - start == pytest.approx(OLD_CLOCK_AFTER_S, abs=0.011)
    now[0] += 0.01
    assert tick_filter.accept(tick(number + 1, term=1))


def test_a_clock_that_was_set_back_is_not_late() -> None:
    """Its ticks are accepted at once, and late ones are detected as before."""
    tick_filter, now = new_flowing_filter()
    for number in range(3):
        assert tick_filter.accept(tick(number - 360_000, step=1))
        now[0] += 0.01
    now[0] += 5
    assert not tick_filter.accept(tick(3 - 360_000, step=1))


def test_clocks_that_drift_apart_are_not_late() -> None:
    """At 500 ppm for an hour: the lowest lateness is forgotten early enough."""
    tick_filter, now = new_filter()
    for number in range(0, 360_000, 100):
        assert tick_filter.accept(tick(number))
        now[0] += 1.0005
    assert now[0] - 100 > 60 * WINDOW_S


# --- Forged ticks ---


@pytest.mark.parametrize("at", [MIN_AT_MS, START_MS, START_MS + 60_000, MAX_AT_MS])
@pytest.mark.parametrize("term", [0, 1, 2, MAX_COUNTER])
@pytest.mark.parametrize("step", [0, 3, 4, MAX_COUNTER])
def test_the_effect_of_a_forged_tick_ends_after_four_seconds(at: int, term: int, step: int) -> None:
    """It takes three seconds until the last tick is forgotten, and one until the real clock does not count as late.

    After that the forged tick has no effect: a clock that is set is followed at once.
    """
    tick_filter, now = new_filter()
    number = 0

    def send_ticks(seconds: float, *, step: int = 3, back: int = 0) -> list[bool]:
        nonlocal number
        accepted = []
        for _ in range(round(seconds * 100)):
            now[0] += 0.01
            number += 1
            accepted.append(tick_filter.accept(tick(number - back, term=1, step=step)))
        return accepted

    assert all(send_ticks(1))
    tick_filter.accept(Tick(at, "forged", term=term, step=step))
    send_ticks(FORGET_AFTER_S + OLD_CLOCK_AFTER_S + 0.02)
    assert all(send_ticks(5))
    assert all(send_ticks(1, step=4, back=360_000))
    assert all(send_ticks(1, step=5))
