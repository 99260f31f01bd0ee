"""Turns: the sides of a comparison run at the same time, and are measured one after the other, again and again.

A machine's speed changes from second to second. What was measured within seconds can be compared. So all sides stay up
and connected; only the side whose turn it is receives ticks, and only its viewers send probes.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from bench.trial.sample import Sample

# The first part of a turn is not measured: caches fill, and the first ticks come after a pause.
DISCARDED_S: Final = 0.5
MEASURED_S: Final = 1.0


class Side(Protocol):
    """One side, as a turn uses it."""

    name: str
    namespace: str

    def resume(self) -> None:
        """Let its viewers send probes."""

    def begin(self, duration_s: float) -> None:
        """Start to measure."""

    def stop(self) -> None:
        """Read what its programs have used, and let its viewers send nothing more."""

    def collect(self) -> Sample:
        """Return what was measured, after the last frames have arrived: 0.3 s later."""


def take_turns(
    sides: Sequence[Side],
    open_gate_for: Callable[[Sequence[str]], None],
    wait: Callable[[float], None],
    now: Callable[[], float],
) -> dict[str, Sample]:
    """Give each side one turn; return its samples by name.

    While the last frames of one side arrive, the next side's turn has begun. A side that is alone keeps the gate open.
    """
    samples: dict[str, Sample] = {}
    previous: Side | None = None
    for side in sides:
        open_gate_for([side.namespace])
        side.resume()
        measured_from = now() + DISCARDED_S
        if previous is not None:
            samples[previous.name] = previous.collect()
        wait(measured_from - now())
        side.begin(MEASURED_S)
        wait(MEASURED_S)
        side.stop()
        previous = side
    if len(sides) > 1:
        open_gate_for([])
    if previous is not None:
        samples[previous.name] = previous.collect()
    return samples
