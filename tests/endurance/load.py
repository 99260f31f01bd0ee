"""What a clock has to bear during a soak: viewers that come and go, page loads, and hostile messages."""

import http.client
import random
import re
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Final

from redis import Redis

from testbed.attacks import messages as hostile
from testbed.attacks.aborted import Attack
from testbed.attacks.connection import CLOSE_FRAME, FIRST_FRAME, HALF_A_FRAME, STREAMS, End, Plan
from testbed.subscriber import CHANNEL

# Viewers at a time, apart from those that have fallen silent; and how many of them come and go, a second.
VIEWERS: Final = 300
CHURN: Final = 30

# Seconds between two page loads, between two hostile messages, and between two that are huge.
PAGE_INTERVAL: Final = 1.0
HOSTILE_INTERVAL: Final = 0.2
HUGE_INTERVAL: Final = 5.0

# How a viewer ends: all equally often.
ENDS: Final = (
    (CLOSE_FRAME, End.FIN),
    (FIRST_FRAME, End.RST),
    (FIRST_FRAME, End.SILENCE),
    (HALF_A_FRAME, End.FIN),
    (HALF_A_FRAME, End.RST),
    (HALF_A_FRAME, End.SILENCE),
)


def viewers(seed: int = 1) -> Iterator[Plan]:
    """Yield viewers for ever, each of which stays for about as long as another one takes its place."""
    chance = random.Random(seed)
    mean = VIEWERS / CHURN
    while True:
        stage, end = chance.choice(ENDS)
        yield Plan(stage, end, chance.choice(STREAMS), chance.uniform(mean / 2, mean * 3 / 2))


class Load:
    """All of it, in one loop: `turn` does what is due."""

    def __init__(self, port: int, redis: Redis) -> None:
        self.attack = Attack(port)
        self.pages = 0
        self.page_failures: list[str] = []
        self.messages = 0
        self._port = port
        self._redis = redis
        self._viewers = viewers()
        self._hostile = cycle(hostile.messages(2_000))
        self._huge = cycle(hostile.huge())
        self._due = dict.fromkeys((self._add_viewer, self._load_page, self._publish), time.monotonic())
        self._due[self._publish_huge] = time.monotonic() + HUGE_INTERVAL / 2

    def turn(self) -> None:
        """Do what is due, and let the viewers read."""
        now = time.monotonic()
        for action, due in self._due.items():
            if now >= due:
                self._due[action] = max(due, now - 1) + action()
        self.attack.turn(0.005)

    def close(self) -> None:
        """Let go of all."""
        self.attack.close()

    # Each of these returns after how many seconds it is due again.

    def _add_viewer(self) -> float:
        self.attack.launch(next(self._viewers))
        return 1 / CHURN

    def _load_page(self) -> float:
        """Load the page with all that it refers to, and ask for the time, as a browser does."""
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
        return PAGE_INTERVAL

    def _get(self, connection: http.client.HTTPConnection, path: str) -> bytes:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            self.page_failures.append(f"{path}: {answer.status}")
        return body

    def _publish(self) -> float:
        self._redis.publish(CHANNEL, next(self._hostile))
        self.messages += 1
        return HOSTILE_INTERVAL

    def _publish_huge(self) -> float:
        self._redis.publish(CHANNEL, next(self._huge))
        self.messages += 1
        return HUGE_INTERVAL
