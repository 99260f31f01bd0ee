"""The agreement of the model with the measured points: within 20 %, or the check fails."""

from dataclasses import dataclass
from typing import Final

from bench.report.tables import Rows
from bench.scaling.model import Model
from bench.scaling.points import OVERLOAD, TITLES, Measured, Point
from clock.contract import DEFAULT_RATE

TOLERANCE: Final = 0.20

HEADINGS: Final = ("measured point", "figure", "measured", "model", "difference", "use")
CALIBRATED: Final = "calibration"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a measured point, and the model's. Those of calibration points agree by construction."""

    title: str
    figure: str
    measured: float
    predicted: float
    is_calibration: bool
    form: str

    @property
    def difference(self) -> float:
        """The model's figure relative to the measured one, minus 1."""
        return self.predicted / self.measured - 1 if self.measured else float(bool(self.predicted))

    @property
    def agrees(self) -> bool:
        """Whether it is within the tolerance."""
        return abs(self.difference) <= TOLERANCE

    @property
    def row(self) -> list[str]:
        """The row under `HEADINGS`."""
        use = CALIBRATED if self.is_calibration else "check: " + ("agrees" if self.agrees else "DISAGREES")
        shown = [self.form.format(value) for value in (self.measured, self.predicted)]
        return [self.title, self.figure, *shown, f"{self.difference:+.0%}".replace("%", " %"), use]


def compare(model: Model, measured: Measured) -> list[Comparison]:
    """Return the comparison of every measured figure with the model's."""
    found = [one for point in measured.points for one in _of_point(model, point)]
    overload = measured.overload
    if overload.refused:  # otherwise they were all admitted, and the worker's limit was not reached
        admitted = model.admitted(beside=overload.before, beside_rate=DEFAULT_RATE)
        found.append(_admitted(TITLES[OVERLOAD], overload.admitted, admitted))
    return found


def _of_point(model: Model, point: Point) -> list[Comparison]:
    """Return the comparison of the load for the frames that were sent, and of the viewers if some were refused."""
    crowd = point.crowd
    load = model.load(
        point.viewers,
        point.frames,
        workers=crowd.workers,
        has_probes=crowd.has_probes,
        is_proxied=crowd.is_proxied,
    )
    found = [Comparison(point.title, "load", 100 * point.load, 100 * load, point.is_calibration, "{:.1f} %")]
    if point.viewers < crowd.viewers:
        found.append(_admitted(point.title, point.viewers, model.admitted(crowd.rate)))
    return found


def _admitted(title: str, measured: int, predicted: int) -> Comparison:
    return Comparison(title, "viewers admitted", measured, predicted, is_calibration=False, form="{:,.0f}")


def rows(comparisons: list[Comparison]) -> Rows:
    """Return a row under `HEADINGS` for each comparison."""
    return [one.row for one in comparisons]


def disagreements(comparisons: list[Comparison]) -> list[Comparison]:
    """Return the checks that fail."""
    return [one for one in comparisons if not one.is_calibration and not one.agrees]
