"""The load of the endurance test: viewers that connect and disconnect, page loads, and invalid messages."""

import http.client
import random
import re
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Final

from redis import Redis

from testbed.attacks import invalid_messages
from testbed.attacks.aborted import Attack
from testbed.attacks.stages import CLOSE_FRAME, FIRST_FRAME, HALF_A_FRAME, STREAMS, End, Plan
from testbed.subscriber import CHANNEL

# Viewers at a time, without those that have become silent; and how many of them are replaced in a second.
VIEWERS: Final = 300
CHURN: Final = 30

# Seconds between two page loads, between two invalid messages, and between two huge ones.
PAGE_INTERVAL_S: Final = 1.0
INVALID_INTERVAL_S: Final = 0.2
HUGE_INTERVAL_S: Final = 5.0

# How viewers end, all equally often.
ENDS: Final = (
    (CLOSE_FRAME, End.FIN),
    (FIRST_FRAME, End.RST),
    (FIRST_FRAME, End.SILENCE),
    (HALF_A_FRAME, End.FIN),
    (HALF_A_FRAME, End.RST),
    (HALF_A_FRAME, End.SILENCE),
)


def viewers(seed: int = 1) -> Iterator[Plan]:
    """Yield viewers without end. Each stays for 10 s on average, so that `CHURN` a second keep up `VIEWERS`."""
    chance = random.Random(seed)
    mean_s = VIEWERS / CHURN
    while True:
        stage, end = chance.choice(ENDS)
        yield Plan(stage, end, chance.choice(STREAMS), chance.uniform(mean_s / 2, mean_s * 3 / 2))


class Load:
    """The whole load, in one loop: `poll` does what is due."""

    def __init__(self, port: int, redis: Redis) -> None:
        self.attack = Attack(port)
        self.pages = 0
        self.page_failures: list[str] = []
        self.messages = 0
        self._port = port
        self._redis = redis
        self._viewers = viewers()
        self._invalid = cycle(invalid_messages.messages(2_000))
        self._huge = cycle(invalid_messages.huge())
        self._due = dict.fromkeys((self._add_viewer, self._load_page, self._publish), time.monotonic())
        self._due[self._publish_huge] = time.monotonic() + HUGE_INTERVAL_S / 2

    def poll(self) -> None:
        """Do what is due, and let the viewers read."""
        now = time.monotonic()
        for action, due in self._due.items():
            if now >= due:
                self._due[action] = max(due, now - 1) + action()
        self.attack.poll(0.005)

    def close(self) -> None:
        """Close all connections."""
        self.attack.close()

    # Each of these returns the seconds after which it is due again.

    def _add_viewer(self) -> float:
        self.attack.launch(next(self._viewers))
        return 1 / CHURN

    def _load_page(self) -> float:
        """Load the page with all its files, and request the time, as a browser does."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            page = self._get(connection, "/clock/").decode()
            for path in dict.fromkeys(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)):
                self._get(connection, path)
            self._get(connection, "/clock/now")
            self.pages += 1
        except OSError as error:
            self.page_failures.append(repr(error))
        finally:
            connection.close()
        return PAGE_INTERVAL_S

    def _get(self, connection: http.client.HTTPConnection, path: str) -> bytes:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            self.page_failures.append(f"{path}: {answer.status}")
        return body

    def _publish(self) -> float:
        self._redis.publish(CHANNEL, next(self._invalid))
        self.messages += 1
        return INVALID_INTERVAL_S

    def _publish_huge(self) -> float:
        self._redis.publish(CHANNEL, next(self._huge))
        self.messages += 1
        return HUGE_INTERVAL_S
