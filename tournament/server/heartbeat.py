"""The heartbeat: finds the clients that have stopped reading.

Their own kernels go on receiving frames for minutes, so only a ping that is not answered shows it. Each client is
pinged once per interval. The interval is divided into slots, and each client has one, so that there are never many
pings at once.

Time is counted in slots. A worker that was stopped for a while has counted none, so no client is disconnected for that;
and the wall clock has no influence.
"""

import asyncio
import os
from itertools import cycle
from typing import Final, Protocol

# Seconds that a slot lasts. A crowd of 10,000 that is pinged every 6 s is 67 pings a slot, about a millisecond.
SLOT_S: Final = 0.04

# Seconds after which a client that owes a pong receives no more frames.
PAUSE_AFTER_S: Final = 2.0


class Client(Protocol):
    """A client that is pinged."""

    def ping(self, payload: bytes) -> None:
        """Ask for a pong with this payload."""

    def pause_if_silent(self) -> None:
        """Send no more frames if the pong has not arrived."""

    def end_if_silent(self) -> None:
        """Disconnect if the pong has not arrived."""


class Heartbeat:
    """Pings each client once in `interval_s`, and disconnects those that do not answer within `timeout_s`.

    The timeout is at most the interval, so that a client has one ping to answer at a time.
    """

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        slots = max(1, round(interval_s / SLOT_S))
        self._slots: list[dict[Client, None]] = [{} for _ in range(slots)]
        self._next_to_join = cycle(self._slots)
        self._slot_of: dict[Client, dict[Client, None]] = {}
        self._pause_after = round(PAUSE_AFTER_S / SLOT_S)
        self._end_after = min(slots, max(1, round(timeout_s / SLOT_S)))
        self._current = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def join(self, client: Client) -> None:
        """Start to ping a client."""
        slot = self._slot_of[client] = next(self._next_to_join)
        slot[client] = None

    def leave(self, client: Client) -> bool:
        """Stop pinging a client, and return True; or return False if it was not pinged."""
        slot = self._slot_of.pop(client, None)
        if slot is not None:
            del slot[client]
        return slot is not None

    async def run(self) -> None:
        """Advance by a slot each `SLOT_S` seconds, until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            # Only delays of up to a slot are made up for, so there are never the pings of many slots at once.
            next_at = max(next_at + SLOT_S, loop.time())
            await asyncio.sleep(next_at - loop.time())
            self.advance()

    def advance(self) -> None:
        """Disconnect or pause clients that owe a pong, ping those of the current slot, and go to the next slot."""
        for client in list(self._slot(self._end_after)):
            client.end_if_silent()
        for client in self._slot(self._pause_after):
            client.pause_if_silent()
        # A new payload each time: a client that has not read the ping cannot know it.
        payload = os.urandom(4)
        for client in self._slot(0):
            client.ping(payload)
        self._current += 1

    def _slot(self, slots_ago: int) -> dict[Client, None]:
        return self._slots[(self._current - slots_ago) % len(self._slots)]
