"""Stalled viewers: some stop reading after the handshake, and the others must not notice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.scenarios.steady import PARALLEL, SETTLE_S
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER
from bench.trial.sample import Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage
from testbed.stalled import Stalled

READING: Final = 380
STALLED: Final = 20
LIMIT_S: Final = 25.0  # how long the benchmark waits for the worker to disconnect them


@contextmanager
def stalled(stage: Stage) -> Iterator[TakeTurn]:
    """380 viewers read, and 20 do not."""
    with Side(SUBJECTS[WORKER], stage) as side:
        side.connect(READING, parallel=PARALLEL)
        stage.wait(SETTLE_S)

        def take_turn() -> Turn:
            side.begin()
            ones = Stalled(STALLED, side.port, side.path)
            start = time.monotonic()
            try:
                while not ones.check() and time.monotonic() - start < LIMIT_S:
                    stage.wait(0.5)
            finally:
                ones.close()
            side.stop()
            sample = side.collect()
            is_over = len(ones.closed_after_s) == STALLED
            sample.values["disconnected_s"] = max(ones.closed_after_s) if is_over else float("inf")
            return {WORKER: sample}

        yield take_turn
