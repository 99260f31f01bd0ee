"""Charts as SVG: lines over the number of viewers, with logarithmic axes, for light and dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 596, 56, 384  # of the plot area

LABEL_WIDTH = 34  # pixels, for a number of viewers

X_LABEL = "viewers"

# Each has enough contrast with white, with near-black, and with its neighbours in this list.
COLOURS = ("#7d7d7d", "#d1495b", "#2e86de", "#e08e00", "#8e5bd0", "#1f9d72", "#c05fa5", "#a0703c", "#5b7f95", "#6b8e23")

STYLE = """
  .background { fill: #ffffff } text { fill: #24292f } .grid { stroke: #d8dee4 } .axis { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    .background { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
  }
  text { font: 12px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
  .line { fill: none; stroke-width: 2 }"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its points (viewers, value), ordered by viewers. `colour` is an index; the legend omits empty labels."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis: maps values from `minimum` to `maximum` to pixels from `start` to `stop`."""

    minimum: float
    maximum: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, in pixels."""
        share = math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        return round(self.start + share * (self.stop - self.start), 1)


def grid_values(minimum: float, maximum: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from the last at or below `minimum` to the first at or above `maximum`."""
    first, last = math.floor(math.log10(minimum)) - 1, math.ceil(math.log10(maximum)) + 1
    candidates = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    below = max(value for value in candidates if value <= minimum)
    above = min(value for value in candidates if value >= maximum and value > below)
    return [value for value in candidates if below <= value <= above]


def chart(title: str, unit: str, lines: Sequence[Line]) -> str:
    """Return a chart as SVG. It omits points whose value is zero or infinite."""
    shown = [
        (one, points) for one in lines if (points := [(x, y) for x, y in one.points if y > 0 and math.isfinite(y)])
    ]
    all_points = [point for _, points in shown for point in points] or [(1.0, 1.0)]
    sizes = sorted({x for x, _ in all_points})
    heights = grid_values(min(y for _, y in all_points), max(y for _, y in all_points))
    x_scale = Scale(sizes[0] / 1.25, sizes[-1] * 1.25, LEFT, RIGHT)
    y_scale = Scale(heights[0], heights[-1], BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}\n</style>",
        f'<rect class="background" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
        f'<text x="{LEFT - 48}" y="{TOP - 12}">{escape(unit)}</text>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(X_LABEL)}</text>',
        *_grid(sizes, heights, x_scale, y_scale),
    ]
    legend_y = TOP + 10
    for one, points in shown:
        # Points of different lines may coincide, so each line is shifted a few pixels to the left or right.
        shift = 4 * (one.colour % len(COLOURS)) - 2 * len(COLOURS)
        parts += _line(one, [(x_scale(x) + shift, y_scale(y)) for x, y in points])
        if one.label:
            parts += _line(one, [(RIGHT + 22, legend_y - 4), (RIGHT + 48, legend_y - 4)])
            parts.append(f'<text x="{RIGHT + 60}" y="{legend_y}">{escape(one.label)}</text>')
            legend_y += 22
    return "\n".join((*parts, "</svg>", ""))


def _grid(sizes: Sequence[float], heights: Sequence[float], x_scale: Scale, y_scale: Scale) -> list[str]:
    parts = []
    for height in heights:
        y = y_scale(height)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{height:g}</text>')
    labelled = -math.inf
    for size in sizes:
        x = x_scale(size)
        parts.append(f'<line class="axis" x1="{x}" y1="{BOTTOM}" x2="{x}" y2="{BOTTOM + 5}"/>')
        if x - labelled >= LABEL_WIDTH:
            parts.append(f'<text x="{x}" y="{BOTTOM + 20}" text-anchor="middle">{size:g}</text>')
            labelled = x
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>')
    return parts


def _line(one: Line, points: Sequence[tuple[float, float]]) -> list[str]:
    """Return a line and its points. The points of a dashed line are hollow."""
    colour = COLOURS[one.colour % len(COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if one.dashed else ""
    filled = f'stroke="{colour}" stroke-width="2" ' + ('class="background"' if one.dashed else f'fill="{colour}"')
    return [
        f'<path class="line" stroke="{colour}"{dashes} d="M{"L".join(f"{x:.1f} {y}" for x, y in points)}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y}" r="3.5" {filled}/>' for x, y in points),
    ]
