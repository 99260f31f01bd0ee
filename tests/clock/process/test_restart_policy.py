"""The restart rule of tasks and processes, in virtual time."""

import pytest

from clock.process.restart_policy import GIVE_UP_AFTER_S, HEALTHY_AFTER_S, RestartPolicy


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """The time of a test."""
    return Clock()


@pytest.fixture
def policy(clock: Clock) -> RestartPolicy:
    """A policy with pauses from 1 s to 4 s."""
    return RestartPolicy(1.0, 4.0, now=clock)


def run_for(policy: RestartPolicy, clock: Clock, seconds: float) -> float:
    """Start, run for so long, and fail; return the pause before the restart."""
    policy.record_start()
    clock.seconds += seconds
    return policy.record_failure()


def test_the_pauses_double_up_to_the_longest(policy: RestartPolicy, clock: Clock) -> None:
    """As long as it fails before it is healthy."""
    assert [run_for(policy, clock, 0.5) for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]


def test_a_healthy_run_starts_the_pauses_over(policy: RestartPolicy, clock: Clock) -> None:
    """A run counts as healthy after `HEALTHY_AFTER_S`."""
    assert [run_for(policy, clock, 0.5) for _ in range(2)] == [1.0, 2.0]
    assert run_for(policy, clock, HEALTHY_AFTER_S) == 1.0
    assert policy.failing_for_s() == 0.0


def test_it_gives_up_when_restarts_keep_failing(policy: RestartPolicy, clock: Clock) -> None:
    """After `GIVE_UP_AFTER_S` seconds from the first failure."""
    run_for(policy, clock, 1.0)
    clock.seconds += GIVE_UP_AFTER_S - 1.5
    run_for(policy, clock, 1.0)
    assert not policy.should_give_up()
    clock.seconds += 0.5
    assert policy.failing_for_s() == GIVE_UP_AFTER_S
    assert policy.should_give_up()
