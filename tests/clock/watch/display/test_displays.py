"""The screen, and plain lines."""

import io
import re

from rich.console import Console

from clock.watch.display.lines import Json, Lines
from clock.watch.display.screen import Screen
from clock.watch.summary import Summary
from tests.clock.watch.display.picture import PICTURE, picture
from tests.clock.watch.examples import EVENTS, LIMITS, MEASURED, failed, summary


def drawn(one: Summary, events: list[str]) -> str:
    """Return what a terminal shows at the end."""
    output = io.StringIO()
    display = Screen(Console(file=output, force_terminal=True, width=100, color_system=None))
    display.update(one, events)
    display.end(one, [])
    display.update(failed(), ["too late"])
    return output.getvalue()


def test_the_screen() -> None:
    """The time, the values with their limits, and the events. After the end nothing is drawn."""
    shown = drawn(summary(), EVENTS)
    for text in (
        "2026-11-22 12:48:00.12",
        "wss://clock.example.org/ws/clock/",
        "99.8 Hz",
        "≥ 95 Hz",
        "3.9 ms",
        "≤ 50 ms",
        "± 1.2 ms",
        "20 of 20",
        "3 (4012: 3)",
        "(3 times) frames again, after 72 ms",
    ):
        assert text in shown, text
    assert "too late" not in shown


def test_what_does_not_hold_is_red() -> None:
    """And what holds is green."""
    output = io.StringIO()
    display = Screen(Console(file=output, force_terminal=True, width=100, color_system="standard"))
    display.end(summary(verdicts=tuple(LIMITS.judge(MEASURED._replace(gap=300.0)))), [])
    shown = output.getvalue()
    assert re.search("\x1b\\[1;31m *≤ 250 ms", shown)
    assert re.search("\x1b\\[32m *≥ 95 Hz", shown)


def test_the_screen_before_the_first_frame() -> None:
    """It has no time, and everything else is unknown or nought."""
    shown = drawn(failed(), [])
    assert "no time yet" in shown
    assert "unknown" in shown


def test_plain_lines() -> None:
    """A line per update, the events before it, and all values at the end."""
    output = io.StringIO()
    display = Lines(output)
    display.update(summary(), EVENTS)
    *events, line = output.getvalue().splitlines()
    assert events == EVENTS
    assert line == (
        "2026-11-22 12:48:00.12, 100.0 Hz, lateness 0.7/1.0/2.8 ms, longest gap 14.2 ms, bound ± 1.2 ms, "
        "20 of 20 viewers, 3 reconnects"
    )
    display.end(summary(), [])
    rest = output.getvalue().splitlines()[3:]
    assert "rate: 99.8 Hz (last seconds: 100.0 Hz)" in rest
    assert "bound here: ± 1.2 ms" in rest
    assert "reconnects: 3 (4012: 3)" in rest
    assert rest[-1] == "--max-bound 20 ms: measured 1.2 ms, holds"


def test_json_is_one_line() -> None:
    """At the end."""
    output = io.StringIO()
    display = Json(output)
    display.update(summary(), EVENTS)
    assert not output.getvalue()
    display.end(summary(), EVENTS)
    assert output.getvalue().count("\n") == 1


def test_the_picture_shows_this_screen() -> None:
    """`make pictures` draws it anew."""
    assert PICTURE.read_text(encoding="utf-8") == picture()
