"""The targets of the scenarios: what the worker should achieve."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.scenarios.processes import PROCESSES, VIEWERS_EACH
from bench.scenarios.storms import BEFORE
from bench.trial import figures
from bench.trial.figures import FLOOR, WORKER, Turns
from bench.trial.target import Target

OfSide = Callable[..., float]


def figure(of: OfSide, side: str = WORKER, **options: Any) -> Callable[[Turns], float]:
    """Return a figure of one side."""
    return partial(of, side=side, **options)


def compared(  # noqa: PLR0913 - a target has so many properties
    what: str,
    of: OfSide,
    limit: float,
    form: str,
    *,
    at_least: bool = False,
    exact: bool = False,
    max_lag_ms: float = 5.0,
    **options: Any,
) -> Target:
    """Return a target for the worker, with the same figure of the floor beside it."""
    worker, floor = figure(of, **options), figure(of, FLOOR, **options)
    return Target(what, worker, limit, form, at_least=at_least, exact=exact, floor=floor, max_lag_ms=max_lag_ms)


def late(what: str, percent: int, limit_ms: float, **options: Any) -> Target:
    """Return a target for the worker's lateness."""
    name = f"{what}: lateness p{percent}"
    return compared(name, figures.late_ms, limit_ms, "{:.1f} ms", percent=percent, **options)


def page_difference(turns: Turns, name: str) -> float:
    """Return how much larger a figure of the page is in the crowd than alone, in milliseconds."""
    return figures.value(turns, WORKER, f"{name}_ms") - figures.value(turns, WORKER, f"alone_{name}_ms")


def largest_deviation_percent(turns: Turns) -> float:
    """Return by how much the viewers of one of two workers differ from the mean, in percent."""
    most, fewest = (figures.value(turns, PROCESSES, name) for name in ("most", "fewest"))
    return 100 * max(most - VIEWERS_EACH, VIEWERS_EACH - fewest) / VIEWERS_EACH


COST_800: Final = (
    Target(
        "800 viewers at 100 frames/s: CPU per frame",
        partial(figures.cpu_ratio, side=WORKER, reference=FLOOR),
        1.10,
        "{:.3f} times the floor's",
        floor=figure(figures.cpu_us, FLOOR),
        floor_form="{:.1f} µs",
    ),
)

DELIVERED_400: Final = (
    compared(
        "400 viewers at auto: the worst-off one gets",
        figures.worst_percent,
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
        exact=True,
    ),
)

VIEWERS_5000: Final = (
    late("5,000 viewers at auto", 50, 5.0),
    late("5,000 viewers at auto", 99, 15.0),
    compared("5,000 viewers at auto: CPU", figures.core_percent, 70.0, "{:.0f} % of a core"),
)

PAGES_9000: Final = (
    compared("9,000 pages at auto: refused or closed", figures.lost, 0, "{:.0f}", exact=True),
    compared(
        "9,000 pages at auto: the worst-off one gets",
        figures.worst_rate,
        9.9,
        "{:.2f} frames/s",
        at_least=True,
        exact=True,
    ),
    late("9,000 pages at auto", 50, 8.0),
    late("9,000 pages at auto", 99, 25.0),
    compared("9,000 pages at auto: CPU", figures.core_percent, 80.0, "{:.0f} % of a core"),
    compared("9,000 pages at auto: memory", figures.memory_mib, 220.0, "{:.0f} MiB"),
)

CROWDED_PAGE: Final = (
    Target(
        "a page with 8,999 others: its error", partial(page_difference, name="error"), 2.0, "{:+.2f} ms more than alone"
    ),
    Target(
        "a page with 8,999 others: its ±", partial(page_difference, name="bound"), 2.0, "{:+.2f} ms more than alone"
    ),
)

PAGE_LOADS: Final = (
    Target("400 page loads: all loaded after", figure(figures.value, name="seconds"), 5.0, "{:.2f} s", max_lag_ms=50),
    Target(
        "400 page loads: largest gap of 400 streams", figure(figures.largest_gap_ms), 100.0, "{:.0f} ms", max_lag_ms=20
    ),
)

STORM: Final = (
    compared("8,000 connect at once: all connected after", figures.connect_seconds, 8.0, "{:.2f} s", max_lag_ms=50),
    late("8,000 connect at once: those before", 99, 50.0, name=BEFORE, max_lag_ms=10),
)

OVERLOAD: Final = (
    Target(
        "overload: lateness p99 during the arrival",
        figure(figures.late_ms, "arrival", percent=99),
        40.0,
        "{:.1f} ms",
        max_lag_ms=10,
    ),
    Target(
        "overload: lateness p99 of all that were admitted",
        figure(figures.late_ms, "afterwards", percent=99),
        40.0,
        "{:.1f} ms",
        max_lag_ms=10,
    ),
)

TWO_WORKERS: Final = (
    Target(
        "two workers on one port: CPU per frame",
        partial(figures.cpu_ratio, side=PROCESSES, reference=WORKER),
        1.10,
        "{:.3f} times that of one",
    ),
    Target(
        "two workers on one port: their viewers", largest_deviation_percent, 10.0, "{:.0f} % from the mean", exact=True
    ),
)

STALLED_VIEWERS: Final = (
    Target("stalled viewers: all disconnected after", figure(figures.value, name="disconnected_s"), 20.0, "{:.1f} s"),
    Target(
        "stalled viewers: the worst of the others gets",
        figure(figures.worst_percent),
        99.9,
        "{:.2f} % of the published ticks",
        at_least=True,
        exact=True,
    ),
)

IDLE: Final = (compared("CPU without viewers", figures.core_percent, 4.0, "{:.1f} % of a core"),)

# What the README shows, besides the viewers per core.
SUMMARY: Final = frozenset(
    target.what for target in (*COST_800, VIEWERS_5000[1], *PAGES_9000, *PAGE_LOADS[:1], *STORM[:1], *OVERLOAD[1:])
)
