"""The ticks that were published, as a raw subscriber receives them. Viewers' frames are counted against these."""

import select
import time

from testbed.subscriber import CHANNEL, Subscriber


class Published:
    """The times of all ticks since the start. Redis disconnects it if `pass_time` is not called for 10 s."""

    def __init__(self, redis_port: int) -> None:
        self._subscriber = Subscriber(redis_port, CHANNEL)
        self._times: set[int] = set()

    def close(self) -> None:
        """Disconnect."""
        self._subscriber.close()

    def pass_time(self, seconds: float = 0) -> None:
        """Receive ticks for so many seconds."""
        deadline = time.monotonic() + seconds
        while select.select([self._subscriber.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._times.update(tick.at for tick in self._subscriber.read())
            if time.monotonic() >= deadline:
                break

    def count(self, from_: int, to: int) -> int:
        """Return how many ticks had from_ <= at < to, times in milliseconds since the Unix epoch."""
        return sum(from_ <= at < to for at in self._times)
