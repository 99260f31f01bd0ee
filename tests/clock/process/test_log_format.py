"""The format of the log: one line per record, for people or for programs."""

import io
import json
import logging
import sys
from typing import Any

import pytest

from clock.process.log_format import FIELDS, JsonFormatter, TextFormatter, log_formatter

CREATED_S = 1_795_351_680.1234

# The last line of the traceback below.
TAIL = "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"


def record(message: str, *arguments: Any, **extra: Any) -> logging.LogRecord:
    """Return a record of the logger `clock.x`."""
    made = logging.LogRecord("clock.x", logging.WARNING, __file__, 1, message, arguments, None)
    made.created = CREATED_S
    if extra:
        setattr(made, FIELDS, extra)
    return made


def failure() -> logging.LogRecord:
    """Return a record with a traceback."""
    made = record("it failed")
    try:
        json.loads("{")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_for_people() -> None:
    """Key=value; quotes only where they are needed."""
    line = TextFormatter().format(record("no %s", "ticks", version="1.2.0", settings={"HTTPS": "on", "X": ""}))
    assert line == (
        'time=2026-11-22T12:48:00.123Z level=WARNING logger=clock.x message="no ticks" version=1.2.0 HTTPS=on X=""'
    )


def test_a_line_for_programs() -> None:
    """A JSON object; the message is the same."""
    line = JsonFormatter().format(record("no %s", "ticks", version="1.2.0", settings={"CLOCK_HTTPS": "on"}))
    assert json.loads(line) == {
        "time": "2026-11-22T12:48:00.123Z",
        "level": "WARNING",
        "logger": "clock.x",
        "message": "no ticks",
        "version": "1.2.0",
        "settings": {"CLOCK_HTTPS": "on"},
    }
    assert "…" in JsonFormatter().format(record("…"))


@pytest.mark.parametrize("text", ["a\nlevel=INFO", "\x1b[31mred", "a\u2028b", 'say "no"\\', "\r\u0085", "\ud800"])
def test_a_message_is_always_one_line(text: str) -> None:
    """What a server says, or a name, can neither add a line nor control a terminal."""
    for formatter in (TextFormatter(), JsonFormatter()):
        lines = formatter.format(record("%s", text)).encode(errors="backslashreplace").decode().split("\n")
        assert len(lines) == 1
        assert "\x1b" not in lines[0]
    assert TextFormatter().format(record("%s", text)).isprintable()
    assert json.loads(JsonFormatter().format(record("%s", text)))["message"] == text


def test_a_traceback() -> None:
    """At a terminal it follows the line as it is. In JSON it is a field."""
    line, *trace = TextFormatter().format(failure()).split("\n")
    assert line.endswith('message="it failed"')
    assert (trace[0], trace[-1]) == ("Traceback (most recent call last):", TAIL)
    (line,) = JsonFormatter().format(failure()).split("\n")
    assert json.loads(line)["traceback"].endswith(TAIL)


def test_a_time_that_no_calendar_has() -> None:
    """The host's clock may show it, and then the log has to say so."""
    made = record("a test")
    made.created = 1e15
    assert json.loads(JsonFormatter().format(made))["time"] == "1000000000000000.000"


@pytest.mark.parametrize(
    ("name", "is_terminal", "expected"),
    [
        ("auto", True, TextFormatter),
        ("auto", False, JsonFormatter),
        ("text", False, TextFormatter),
        ("json", True, JsonFormatter),
    ],
)
def test_the_format_follows_the_setting_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_terminal: bool,  # noqa: FBT001
    expected: type[logging.Formatter],
) -> None:
    """`auto` asks standard error."""
    errors = io.StringIO()
    monkeypatch.setattr(errors, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", errors)
    assert type(log_formatter(name)) is expected
