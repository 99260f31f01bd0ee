"""The heartbeat: finds the clients that have stopped reading.

Their own kernels go on taking frames for minutes, so nothing but a ping that is not answered tells. Each client is
pinged once an interval. They are spread over it, so that it is never the turn of many.

Time is counted in turns. A worker that stood still for a while has taken none, so it holds that against nobody; and
the wall clock has no say.
"""

import asyncio
import os
from itertools import cycle
from typing import Final, Protocol

# Seconds.
TURN: Final = 0.1

# Seconds after which a client that owes a pong gets no more frames.
PATIENCE: Final = 2.0


class Client(Protocol):
    """Who is pinged."""

    def ping(self, payload: bytes) -> None:
        """Ask for a pong with this payload."""

    def pause_if_silent(self) -> None:
        """Send no more frames if the pong is still due."""

    def end_if_silent(self) -> None:
        """Hang up if the pong is still due."""


class Heartbeat:
    """Pings each client once in `interval` seconds, and hangs up on those that do not answer within `timeout`.

    The timeout is at most the interval, so that there is one ping under way to a client.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        turns = max(1, round(interval / TURN))
        self._slots: list[dict[Client, None]] = [{} for _ in range(turns)]
        self._next_slot = cycle(self._slots)
        self._slot_of: dict[Client, dict[Client, None]] = {}
        self._pause_after = round(PATIENCE / TURN)
        self._end_after = min(turns, max(1, round(timeout / TURN)))
        self._turn = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def join(self, client: Client) -> None:
        """Begin to ping a client."""
        slot = self._slot_of[client] = next(self._next_slot)
        slot[client] = None

    def leave(self, client: Client) -> bool:
        """Ping a client no more, and return True; or return False, if it was not pinged."""
        slot = self._slot_of.pop(client, None)
        if slot is not None:
            del slot[client]
        return slot is not None

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            await asyncio.sleep(TURN)
            self.take_turn()

    def take_turn(self) -> None:
        """Hang up on who has owed a pong for too long, pause who has for some time, and ping whose turn it is."""
        for client in list(self._slot(self._end_after)):
            client.end_if_silent()
        for client in self._slot(self._pause_after):
            client.pause_if_silent()
        # A new one each time: who has not read the ping cannot know it.
        payload = os.urandom(4)
        for client in self._slot(0):
            client.ping(payload)
        self._turn += 1

    def _slot(self, turns_ago: int) -> dict[Client, None]:
        return self._slots[(self._turn - turns_ago) % len(self._slots)]
