"""The ticks that were published, as a subscriber of its own receives them: the reference for what clients receive."""

import select
import time

from testbed.subscriber import CHANNEL, Subscriber


class Published:
    """The times of all ticks since the start.

    Call `receive` at least every 10 s: Redis disconnects a subscriber that does not read.
    """

    def __init__(self, redis_port: int) -> None:
        self._subscriber = Subscriber(redis_port, CHANNEL)
        self._times: set[int] = set()

    def close(self) -> None:
        """Disconnect from Redis."""
        self._subscriber.close()

    def receive(self, seconds: float = 0) -> None:
        """Receive ticks for so many seconds; without an argument, those that have arrived."""
        deadline = time.monotonic() + seconds
        while select.select([self._subscriber.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._times.update(tick.at for tick in self._subscriber.read())
            if time.monotonic() >= deadline:
                break

    def count(self, from_ms: int, to_ms: int) -> int:
        """Return the number of ticks with from_ms <= at < to_ms (milliseconds since the Unix epoch)."""
        return sum(from_ms <= at < to_ms for at in self._times)
