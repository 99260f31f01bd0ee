"""The ticks that were published, as a raw subscriber hears them: what the clients' frames are counted against."""

import select
import time

from testbed.subscriber import CHANNEL, Subscriber


class Published:
    """The times of all the ticks since the start. Redis lets it go after 10 s in which nobody calls `pass_time`."""

    def __init__(self, redis_port: int) -> None:
        self._subscriber = Subscriber(redis_port, CHANNEL)
        self._times: set[int] = set()

    def close(self) -> None:
        """Hang up."""
        self._subscriber.close()

    def pass_time(self, seconds: float = 0) -> None:
        """Wait so long, and take in what comes."""
        deadline = time.monotonic() + seconds
        while select.select([self._subscriber.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._times.update(heard.at for heard in self._subscriber.read())
            if time.monotonic() >= deadline:
                break

    def count(self, from_: int, to: int) -> int:
        """Return how many ticks had from_ <= at < to, times in milliseconds since the Unix epoch."""
        return sum(from_ <= at < to for at in self._times)
