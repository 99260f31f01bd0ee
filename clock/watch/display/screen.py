"""The screen: drawn anew four times a second on a terminal, by rich."""

import atexit
import threading
from collections import deque
from typing import Final

from rich.box import HORIZONTALS
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from clock.watch.display.rows import HEADINGS, NOTHING, rows
from clock.watch.summary import Summary

INTERVAL_S: Final = 0.25
WIDTH: Final = 84  # characters

# The events that the screen shows.
MAX_EVENTS: Final = 6

_GOOD, _BAD, _FAINT = "green", "bold red", "bright_black"


class Screen:
    """Draws summaries on a terminal."""

    interval_s = INTERVAL_S

    def __init__(self, console: Console) -> None:
        self._events: deque[str] = deque(maxlen=MAX_EVENTS)
        self._live = Live(console=console, auto_refresh=False)
        self._lock = threading.Lock()  # the end may come while an update is being drawn
        self._has_ended = False
        self._live.start()
        atexit.register(self._live.stop)  # or the cursor stays invisible, if the program fails

    def update(self, summary: Summary, events: list[str]) -> None:
        """Draw the screen."""
        with self._lock:
            if not self._has_ended:
                self._draw(summary, events)

    def end(self, summary: Summary, events: list[str]) -> None:
        """Draw the screen for the last time, and leave it there."""
        with self._lock:
            self._draw(summary, events)
            self._has_ended = True
            self._live.stop()

    def _draw(self, summary: Summary, events: list[str]) -> None:
        self._events.extend(events)
        self._live.update(screen(summary, [*self._events]), refresh=True)


def screen(summary: Summary, events: list[str]) -> RenderableType:
    """Return what the screen shows."""
    is_lost = not summary.message or summary.connected < summary.viewers
    time = Text(summary.message or "no time yet", style=_BAD if is_lost else f"bold {_GOOD}", justify="center")
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column(HEADINGS[0])
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for row in rows(summary):
        style = {True: _GOOD, False: _BAD, None: ""}[row.holds]
        judged = {"recent": "", "total": "", "recent" if row.total == NOTHING else "total": style}
        recent, total = (
            Text(text, style=judged[name]) for name, text in (("recent", row.recent), ("total", row.total))
        )
        table.add_row(row.label, recent, total, Text(row.limit, style=style))
    parts: list[RenderableType] = [time, Text(), table]
    if events:
        parts += [Text(), *(Text(event, style=_FAINT, no_wrap=True, overflow="ellipsis") for event in events)]
    # Without vertical lines, which many fonts do not join.
    return Panel(Group(*parts), HORIZONTALS, title=summary.target.stream_url, padding=(1, 2), width=WIDTH)
