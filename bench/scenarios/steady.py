"""Steady scenarios: viewers that stay, of one subject or of several that take turns."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import FLOOR
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage
from bench.trial.turns import take_turns
from clock.contract import AUTO_RATES, DEFAULT_RATE

AUTO: Final = "?rate=auto"

# Viewers that connect at the same time.
PARALLEL: Final = 64

# Between the last viewer's connection and the first turn. Just-in-time compilers (Node's, Bun's) need it; so does a
# worker that chooses the rate for many viewers, which lowers it at once but raises it only after some seconds.
SETTLE_S: Final = 2.0
SETTLE_AUTO_S: Final = 8.0
FEW: Final = 1_000  # viewers for whom a worker does not change its highest rate


@dataclass(frozen=True, slots=True)
class Crowd:
    """The viewers of one subject. With `pages`, each sends probes, as a page does."""

    subject: str
    viewers: int
    query: str = ""
    pages: bool = False


@contextmanager
def steady(stage: Stage, crowds: Sequence[Crowd]) -> Iterator[TakeTurn]:
    """Connect crowds, one after the other, and let them take turns.

    The floor's viewers get as many frames per second as the viewers of the subject before it.
    """
    with ExitStack() as exits:
        sides: list[Side] = []
        for crowd in crowds:
            rate = nearest_rate(sides[-1].frames_per_second()) if crowd.subject == FLOOR and sides else DEFAULT_RATE
            side = exits.enter_context(Side(SUBJECTS[crowd.subject], stage))
            sides.append(side)
            if crowd.viewers:
                query = f"?rate={rate}" if crowd.subject == FLOOR else crowd.query
                side.connect(crowd.viewers, query, parallel=PARALLEL, pages=crowd.pages)
            stage.wait(SETTLE_AUTO_S if crowd.query == AUTO and crowd.viewers > FEW else SETTLE_S)
        yield partial(take_turns, sides, stage.gate.open_for, stage.wait, time.monotonic)


def nearest_rate(frames_per_second: float) -> int:
    """Return the rate that is nearest to what was measured, as a ratio."""
    return min(AUTO_RATES, key=lambda rate: max(rate, frames_per_second) / max(0.1, min(rate, frames_per_second)))
