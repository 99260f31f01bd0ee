"""The storm after a node is lost: a simulation of its viewers, who all come back to the other workers.

The workers are alike and a balancer spreads the viewers evenly, so one worker with its share of them is simulated. It
handles one connection after the other, in the order in which they arrive, until its backlog is full. The rules of the
page are those of clock/static/clock/time/stream.js.
"""

import heapq
import math
import random
from dataclasses import dataclass
from typing import Final

from tournament.processes.listening import BACKLOG

# The page notices a closed connection at once, and comes back after a pause that is drawn from the upper half of this.
FIRST_PAUSE_S: Final = 0.25

# If a host vanishes nobody closes its connections. The page checks each second, at a moment of its own, whether no
# frame has come for this long, and then comes back after a pause that is drawn from the upper half of the last value.
SILENT_AFTER_S: Final = 5.0
CHECK_INTERVAL_S: Final = 1.0
SILENT_PAUSE_S: Final = 2.0

# A client whose connection request is dropped, because the backlog is full, repeats it after so many seconds
# (RFC 6298: an initial timeout of 1 s, which doubles).
REPEATED_AFTER_S: Final = (1.0, 3.0)

# The simulation ends after this time. If a full backlog takes more than `SILENT_AFTER_S`, whoever is served has given
# up, and the storm would never end: such a worker does nothing but work that nobody waits for.
LIMIT_S: Final = 300.0

SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Loss:
    """So many viewers have lost their worker, and so many workers are left.

    `arrival_s` is the CPU time of one arrival: a probe and a handshake. A worker handles one after the other on its
    core. `is_silent` is true if the whole host has vanished, and false if its processes ended and the kernel closed the
    connections.
    """

    viewers: int
    workers: int
    arrival_s: float
    is_silent: bool


@dataclass(frozen=True, slots=True)
class Return:
    """How the viewers came back: after how many seconds half of them, 99 % and all had; and attempts per viewer.

    A time is infinite if it is more than `LIMIT_S`.
    """

    half_s: float
    most_s: float
    all_s: float
    attempts: float


def simulate(loss: Loss, *, backlog: int = BACKLOG) -> Return:
    """Return how the viewers come back after a loss."""
    draw = random.Random(SEED).uniform  # noqa: S311 - a simulation
    viewers = -(-loss.viewers // loss.workers)

    def silent_pause_s() -> float:
        return SILENT_AFTER_S + draw(0, CHECK_INTERVAL_S) + draw(SILENT_PAUSE_S / 2, SILENT_PAUSE_S)

    # (when, since when this attempt lasts, how many times the connection request was repeated)
    attempts: list[tuple[float, float, int]] = []
    for _ in range(viewers):
        at = silent_pause_s() if loss.is_silent else draw(FIRST_PAUSE_S / 2, FIRST_PAUSE_S)
        attempts.append((at, at, 0))
    heapq.heapify(attempts)
    back: list[float] = []
    idle_at, count = 0.0, 0
    while attempts and attempts[0][0] < LIMIT_S:
        at, since, repeated = heapq.heappop(attempts)
        count += not repeated
        waiting = max(0.0, idle_at - at) / loss.arrival_s
        if waiting >= backlog:
            if repeated < len(REPEATED_AFTER_S):
                heapq.heappush(attempts, (since + REPEATED_AFTER_S[repeated], since, repeated + 1))
            else:
                heapq.heappush(attempts, _again(since + silent_pause_s()))
            continue
        idle_at = max(idle_at, at) + loss.arrival_s
        if idle_at - since > SILENT_AFTER_S:  # the client has given up, but the worker has done the work
            heapq.heappush(attempts, _again(since + silent_pause_s()))
        else:
            back.append(idle_at)
    back = sorted(back) + [math.inf] * (viewers - len(back))
    return Return(back[len(back) // 2], back[len(back) * 99 // 100], back[-1], count / viewers)


def _again(at: float) -> tuple[float, float, int]:
    return at, at, 0
