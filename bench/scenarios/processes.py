"""Two workers on one port, beside one worker: what a frame costs, and how viewers are spread."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.scenarios.steady import PARALLEL, SETTLE_S
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER
from bench.trial.sample import Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage
from bench.trial.turns import take_turns
from testbed.workers import Workers

PROCESSES: Final = "processes"
WORKERS: Final = 2
VIEWERS_EACH: Final = 400


@contextmanager
def one_and_two_workers(stage: Stage) -> Iterator[TakeTurn]:
    """One worker has 400 viewers, two on one port have 800."""
    with ExitStack() as exits:
        one = exits.enter_context(Side(SUBJECTS[WORKER], stage))
        one.connect(VIEWERS_EACH, parallel=PARALLEL)
        two = exits.enter_context(Side(SUBJECTS[PROCESSES], stage))
        two.connect(WORKERS * VIEWERS_EACH, parallel=PARALLEL)
        stage.wait(SETTLE_S)
        (workers,) = two.programs
        assert isinstance(workers, Workers)
        viewers = [workers.viewers(number) or 0.0 for number in range(1, WORKERS + 1)]

        def take_turn() -> Turn:
            turn = take_turns([one, two], stage.gate.open_for, stage.wait, time.monotonic)
            turn[PROCESSES].values.update(fewest=min(viewers), most=max(viewers))
            return turn

        yield take_turn
