"""The format of the log: key=value for people at a terminal, JSON for the programs that collect logs.

Each record is one line, whatever its message contains, so that nobody can forge a line. At a terminal a traceback
follows its line as it is.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final

# The values of CLOCK_LOG_FORMAT.
AUTO, TEXT, JSON = FORMATS = ("auto", "text", "json")

# A record may have further fields besides its message: `logger.info(..., extra={FIELDS: {"version": "1.2.0"}})`.
FIELDS: Final = "fields"

# A value that needs no quotes.
_BARE: Final = re.compile(r'[^\s"=\\]+')


def log_formatter(name: str = AUTO) -> logging.Formatter:
    """Return the formatter of this name. `auto` is the text if standard error is a terminal, else JSON."""
    if name == AUTO:
        name = TEXT if sys.stderr.isatty() else JSON
    return TextFormatter() if name == TEXT else JsonFormatter()


class TextFormatter(logging.Formatter):
    """`time=… level=INFO logger=ticker.ticker message="…"`, and further fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback if there is one."""
        pairs: dict[str, Any] = {}
        for key, value in _fields(record).items():
            pairs |= value if isinstance(value, dict) else {key: value}
        line = " ".join(f"{key}={_quoted(str(value))}" for key, value in pairs.items())
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """An object with `time`, `level`, `logger`, `message`, further fields, and `traceback` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = _fields(record)
        trace = _trace(self, record)
        return json.dumps(fields | ({"traceback": trace} if trace else {}), ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {
        "time": _time(record.created),
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
        **getattr(record, FIELDS, {}),
    }


def _time(created_s: float) -> str:
    try:
        return datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # a host's clock can show any time, and the log says so
        return f"{created_s:.3f}"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return "\n".join(parts)


def _quoted(text: str) -> str:
    """Return a value as it is if it is one plain word, else in quotes, without characters that a terminal obeys."""
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted)
