"""Plots as SVG, written by hand: lines over the number of clients, both axes logarithmic, for light and dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 596, 56, 384  # of the area that the axes enclose

ACROSS = "clients, each at 100 frames a second"

# On white and on near-black, each of these stands out from the ground and from its neighbours.
COLOURS = ("#7d7d7d", "#d1495b", "#2e86de", "#e08e00", "#8e5bd0", "#1f9d72", "#c05fa5", "#a0703c", "#5b7f95", "#6b8e23")

STYLE = """
  .ground { fill: #ffffff } text { fill: #24292f } .grid { stroke: #d8dee4 } .axis { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
  }
  text { font: 12px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
  .line { fill: none; stroke-width: 2 }"""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its points as (clients, value), in the order of the clients, and the number of its colour.

    The legend names it unless its label is empty.
    """

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis: where values from `least` to `most` come to lie, between `start` and `stop` in pixels."""

    least: float
    most: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return round(self.start + share * (self.stop - self.start), 1)


def steps(least: float, most: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from the last at or below `least` to the first at or above `most`."""
    first, last = math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    below = max(value for value in every if value <= least)
    above = min(value for value in every if value >= most and value > below)
    return [value for value in every if below <= value <= above]


def plot(title: str, unit: str, series: Sequence[Series]) -> str:
    """Return an SVG of some lines over the number of clients. Points of no or an infinite value are left out."""
    shown = [
        (one, points) for one in series if (points := [(x, y) for x, y in one.points if y > 0 and math.isfinite(y)])
    ]
    everything = [point for _, points in shown for point in points] or [(1.0, 1.0)]
    sizes = sorted({x for x, _ in everything})
    heights = steps(min(y for _, y in everything), max(y for _, y in everything))
    across = Scale(sizes[0] / 1.25, sizes[-1] * 1.25, LEFT, RIGHT)
    up = Scale(heights[0], heights[-1], BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}\n</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
        f'<text x="{LEFT - 48}" y="{TOP - 12}">{escape(unit)}</text>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(ACROSS)}</text>',
        *_grid(sizes, heights, across, up),
    ]
    legend_y = TOP + 10
    for one, points in shown:
        # Those of one place would hide each other: each line is a little to the left or right of it.
        aside = 4 * (one.colour % len(COLOURS)) - 2 * len(COLOURS)
        parts += _line(one, [(across(x) + aside, up(y)) for x, y in points])
        if one.label:
            parts += _line(one, [(RIGHT + 22, legend_y - 4), (RIGHT + 48, legend_y - 4)])
            parts.append(f'<text x="{RIGHT + 60}" y="{legend_y}">{escape(one.label)}</text>')
            legend_y += 22
    return "\n".join((*parts, "</svg>", ""))


def _grid(sizes: Sequence[float], heights: Sequence[float], across: Scale, up: Scale) -> list[str]:
    parts = []
    for height in heights:
        y = up(height)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{height:g}</text>')
    for size in sizes:
        x = across(size)
        parts.append(f'<line class="axis" x1="{x}" y1="{BOTTOM}" x2="{x}" y2="{BOTTOM + 5}"/>')
        parts.append(f'<text x="{x}" y="{BOTTOM + 20}" text-anchor="middle">{size:g}</text>')
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>')
    return parts


def _line(one: Series, points: Sequence[tuple[float, float]]) -> list[str]:
    """Return a line with its points; those of a dashed one are hollow."""
    colour = COLOURS[one.colour % len(COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if one.dashed else ""
    filled = f'stroke="{colour}" stroke-width="2" ' + ('class="ground"' if one.dashed else f'fill="{colour}"')
    return [
        f'<path class="line" stroke="{colour}"{dashes} d="M{"L".join(f"{x:.1f} {y}" for x, y in points)}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y}" r="3.5" {filled}/>' for x, y in points),
    ]
