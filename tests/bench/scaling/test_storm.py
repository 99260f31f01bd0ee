"""The storm: how simulated viewers come back."""

import math

from bench.scaling.storm import Loss, simulate


def test_viewers_whose_worker_ended_come_back_as_fast_as_the_others_accept_them() -> None:
    """1,000 on two workers, which take 2 ms for each: a second, after a pause of at least an eighth of one."""
    found = simulate(Loss(1_000, 2, 0.002, is_silent=False))
    assert 1.125 <= found.all_s <= 1.26
    assert found.half_s <= found.most_s <= found.all_s
    assert found.attempts == 1


def test_viewers_whose_host_vanished_notice_it_by_the_silence() -> None:
    """After 5 to 6 s, and they wait for 1 to 2 s more."""
    found = simulate(Loss(100, 10, 0.0001, is_silent=True))
    assert 6 <= found.half_s <= found.all_s <= 8.1


def test_more_workers_take_less_time() -> None:
    """In proportion, as long as they are busy."""
    one, ten = (simulate(Loss(20_000, workers, 0.001, is_silent=False)) for workers in (10, 100))
    assert 5 < one.all_s / ten.all_s < 12


def test_a_full_backlog_delays_viewers_and_loses_none() -> None:
    """Their system repeats the request after 1 s and 3 s; then the page gives up and comes back."""
    roomy, small = (simulate(Loss(4_000, 1, 0.002, is_silent=False), backlog=backlog) for backlog in (4_000, 100))
    assert roomy.attempts > 1  # those who wait for more than 5 s give up, and the work for them is wasted
    assert small.all_s > 8  # the work alone
    assert small.attempts > 1


def test_a_storm_that_never_ends_is_said_to_be_so() -> None:
    """If the whole backlog takes more than 5 s, all who are served have given up."""
    found = simulate(Loss(10_000, 1, 0.01, is_silent=False), backlog=1_000)
    assert found.half_s == found.all_s == math.inf
    assert found.attempts > 2


def test_the_simulation_repeats_itself() -> None:
    """Its random numbers have a fixed seed, so the document can be compared with it."""
    loss = Loss(5_000, 3, 0.001, is_silent=True)
    assert simulate(loss) == simulate(loss)
