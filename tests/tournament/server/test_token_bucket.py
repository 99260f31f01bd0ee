"""The token bucket: a burst, and then so many a second."""

from tournament.server.token_bucket import TokenBucket


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.time


def takes(bucket: TokenBucket) -> int:
    """Return how many tokens can be taken now, up to 1,000."""
    return next((count for count in range(1_000) if not bucket.take()), 1_000)


def test_a_burst_of_a_second() -> None:
    """And nothing more before time passes."""
    assert takes(TokenBucket(20, now=Clock())) == 20


def test_it_fills_as_time_passes() -> None:
    """By parts of a second too, and never beyond a second's worth."""
    clock = Clock()
    bucket = TokenBucket(20, now=clock)
    takes(bucket)
    clock.time += 0.5
    assert takes(bucket) == 10
    clock.time += 3_600
    assert takes(bucket) == 20


def test_slow_and_steady_goes_on_for_ever() -> None:
    """At the rate itself nothing is refused."""
    clock = Clock()
    bucket = TokenBucket(4, now=clock)
    for _ in range(1_000):
        clock.time += 0.25
        assert bucket.take()


def test_a_rate_of_0_sets_no_limit() -> None:
    """It is off."""
    assert takes(TokenBucket(0, now=Clock())) == 1_000
