"""Two workers on one port, beside one worker: what a frame costs, and how the kernel spreads the viewers."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.scenarios.steady import PARALLEL, SETTLE_S
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER
from bench.trial.sample import Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage
from bench.trial.turns import take_turns
from testbed.accounting import open_files

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
        before = {pid: open_files(pid) for pid in two.pids()}
        two.connect(WORKERS * VIEWERS_EACH, parallel=PARALLEL)
        stage.wait(SETTLE_S)
        fewest, most = fewest_and_most(before, {pid: open_files(pid) for pid in before})

        def take_turn() -> Turn:
            turn = take_turns([one, two], stage.gate.open_for, stage.wait, time.monotonic)
            turn[PROCESSES].values.update(fewest=fewest, most=most)
            return turn

        yield take_turn


def fewest_and_most(before: Mapping[int, int], after: Mapping[int, int]) -> tuple[int, int]:
    """Return the fewest and the most viewers that a worker has, from the open files of all processes.

    A process without viewers is the supervisor, unless fewer than `WORKERS` have any.
    """
    viewers = sorted((after[pid] - before[pid] for pid in before), reverse=True)[:WORKERS]
    return (min(viewers) if len(viewers) == WORKERS else 0), max(viewers)
