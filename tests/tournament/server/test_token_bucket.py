"""The token bucket, in virtual time."""

from tournament.server.token_bucket import TokenBucket


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.time


def takes(bucket: TokenBucket) -> int:
    """Return how many tokens can be taken now, up to 1,000."""
    return next((count for count in range(1_000) if not bucket.take()), 1_000)


def test_a_burst_of_one_second_is_allowed() -> None:
    """And nothing more until time passes."""
    assert takes(TokenBucket(20, now=Clock())) == 20


def test_the_bucket_fills_as_time_passes() -> None:
    """It fills continuously, and never beyond one second's worth."""
    clock = Clock()
    bucket = TokenBucket(20, now=clock)
    takes(bucket)
    clock.time += 0.5
    assert takes(bucket) == 10
    clock.time += 3_600
    assert takes(bucket) == 20


def test_a_steady_rate_is_never_limited() -> None:
    """Events at exactly the rate are all allowed."""
    clock = Clock()
    bucket = TokenBucket(4, now=clock)
    for _ in range(1_000):
        clock.time += 0.25
        assert bucket.take()


def test_a_rate_of_0_sets_no_limit() -> None:
    """Any number of events is allowed at once."""
    assert takes(TokenBucket(0, now=Clock())) == 1_000
