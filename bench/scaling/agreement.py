"""The agreement of the model with the measured points: within 20 %, or the check fails."""

from dataclasses import dataclass
from typing import Final

from bench.report.tables import Rows
from bench.scaling.model import PRESENT, Model
from bench.scaling.points import OVERLOAD, TITLES, Measured, Point
from clock.contract import DEFAULT_RATE

TOLERANCE: Final = 0.20

HEADINGS: Final = ("measured point", "figure", "measured", "model", "difference", "use")

# What a comparison is for. Calibration points agree by construction.
CALIBRATION, CHECK, UNUSED = (
    "calibration",
    "check",
    "not checked: the results do not say at which load",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a measured point, and the model's; `form` formats them."""

    title: str
    figure: str
    measured: float
    predicted: float
    use: str
    form: str

    @property
    def difference(self) -> float:
        """The model's figure relative to the measured one, minus 1."""
        return self.predicted / self.measured - 1

    @property
    def disagrees(self) -> bool:
        """Whether it is a check that fails."""
        return self.use == CHECK and abs(self.difference) > TOLERANCE

    @property
    def row(self) -> list[str]:
        """The row under `HEADINGS`."""
        verdict = (": DISAGREES" if self.disagrees else ": agrees") if self.use == CHECK else ""
        shown = [self.form.format(value) for value in (self.measured, self.predicted)]
        return [self.title, self.figure, *shown, f"{100 * self.difference:+.0f} %", self.use + verdict]


def compare(model: Model, measured: Measured) -> list[Comparison]:
    """Return the comparison of every measured figure with the model's."""
    found = [one for point in measured.points for one in _of_point(model, measured, point)]
    overload = measured.overload
    if overload.refused:  # otherwise they were all admitted, and the worker's limit was not reached
        title = TITLES[OVERLOAD]
        found.append(_admitted(model, measured, title, overload.admitted, None, beside=overload.before))
    return found


def _of_point(model: Model, measured: Measured, point: Point) -> list[Comparison]:
    """Return the comparison of the load for the frames that were sent, and of the viewers if some were refused."""
    crowd = point.crowd
    load = model.load(
        point.viewers,
        point.frames,
        workers=crowd.workers,
        has_probes=crowd.has_probes,
        is_proxied=crowd.is_proxied,
    )
    use = CALIBRATION if point.is_calibration else CHECK
    found = [Comparison(point.title, "load", 100 * point.load, 100 * load, use, "{:.1f} %")]
    if point.viewers < crowd.viewers:
        found.append(_admitted(model, measured, point.title, point.viewers, crowd.rate))
    return found


def _admitted(  # noqa: PLR0913 - what was measured, and of whom
    model: Model, measured: Measured, title: str, count: int, rate: int | None, *, beside: int = 0
) -> Comparison:
    """Return the comparison of how many viewers were admitted, beside others at the full rate."""
    use, refuses_from = (CHECK, measured.refuses_from) if measured.refuses_from else (UNUSED, PRESENT)
    predicted = model.admitted(rate, beside=beside, beside_rate=DEFAULT_RATE, refuses_from=refuses_from)
    return Comparison(title, "viewers admitted", count, predicted, use, "{:,.0f}")


def rows(comparisons: list[Comparison]) -> Rows:
    """Return a row under `HEADINGS` for each comparison."""
    return [one.row for one in comparisons]


def disagreements(comparisons: list[Comparison]) -> list[Comparison]:
    """Return the checks that fail."""
    return [one for one in comparisons if one.disagrees]
