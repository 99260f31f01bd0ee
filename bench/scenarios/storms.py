"""Storms: many viewers connect at once, to a worker that has room for them or has not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.scenarios.steady import AUTO, PARALLEL
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import FLOOR, WORKER
from bench.trial.sample import REFUSED, Sample, Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage

BEFORE: Final = "before"  # the class of viewers that are connected when the others arrive
ARRIVING: Final = 8_000
IN_FLIGHT: Final = 256

STORM_BEFORE: Final = 400
OVERLOAD_BEFORE: Final = 800
OVERLOAD_AFTER_S: Final = 5.0

SETTLE_S: Final = 2.0


@contextmanager
def connection_storm(stage: Stage) -> Iterator[TakeTurn]:
    """400 viewers stream, and 8,000 arrive: at the worker, and then at the floor, whose new viewers get 10 frames."""
    with ExitStack() as exits:
        worker = exits.enter_context(Side(SUBJECTS[WORKER], stage))
        floor = exits.enter_context(Side(SUBJECTS[FLOOR], stage))

        def storm(side: Side, before: str, arriving: str) -> Sample:
            stage.gate.open_for([side.namespace])
            side.connect(STORM_BEFORE, before, name=BEFORE, parallel=PARALLEL)
            stage.wait(SETTLE_S)
            sample = arrive(side, arriving)
            side.disconnect()
            return sample

        yield lambda: {WORKER: storm(worker, AUTO, AUTO), FLOOR: storm(floor, "", "?rate=10")}


def arrive(side: Side, query: str) -> Sample:
    """Let the crowd connect; return what those received who were connected before."""
    viewers = side.viewers
    side.begin()
    side.connect(ARRIVING, query, name="arriving", parallel=IN_FLIGHT)
    side.stop()
    sample = side.collect()
    sample.viewers = viewers
    return sample


@contextmanager
def overload(stage: Stage) -> Iterator[TakeTurn]:
    """800 viewers stream at 100 frames per second, and 8,000 arrive: more than a worker on one core can serve.

    The side "arrival" has what the 800 receive meanwhile, and "afterwards" what all received that were admitted.
    """
    with Side(SUBJECTS[WORKER], stage) as worker:

        def take_turn() -> Turn:
            worker.connect(OVERLOAD_BEFORE, "?rate=100", name=BEFORE, parallel=PARALLEL)
            stage.wait(SETTLE_S)
            arrival = arrive(worker, AUTO)
            assert arrival.connect is not None
            arrival.values["refused"] = arrival.connect.failures.get(REFUSED, 0)
            arrival.values["admitted"] = arrival.connect.connected
            worker.viewers = OVERLOAD_BEFORE + arrival.connect.connected
            worker.begin(OVERLOAD_AFTER_S)
            stage.wait(OVERLOAD_AFTER_S)
            worker.stop()
            afterwards = worker.collect()
            worker.disconnect()
            return {"arrival": arrival, "afterwards": afterwards}

        yield take_turn
