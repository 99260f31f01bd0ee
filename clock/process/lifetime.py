"""The lifetime of this process: its first log line, and its last, which says why it ends.

Both have the version and the settings that differ from their defaults, with secrets masked: whoever finds either line
in a collection of logs knows what ran there.
"""

import atexit
import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from clock import __version__
from clock.process.log_format import FIELDS
from clock.process.signals import before_exit


class Lifetime:
    """Logs the first and the last line. Only a process that has begun logs a last line."""

    def __init__(self) -> None:
        self._logger: logging.Logger | None = None
        self._name = ""
        self._fields: dict[str, Any] = {}
        self._reason = ""
        self._level = logging.INFO

    def begin(self, logger: logging.Logger, name: str, changed_settings: Mapping[str, str]) -> None:
        """Log the first line, for a process of this name, and make sure that there is a last one.

        `changed_settings` are those that differ from their defaults, as they may be shown.
        """
        self._logger, self._name = logger, name
        self._fields = {"version": __version__, "settings": dict(changed_settings)}
        logger.info("clock %s: %s starting", __version__, name, extra={FIELDS: self._fields})
        atexit.register(self.end)
        before_exit.append(self._end_early)
        sys.excepthook = self._on_error

    def because(self, reason: str, *, is_failure: bool = False) -> None:
        """Note why the process ends. The first reason counts."""
        if not self._reason:
            self._reason = reason
            self._level = logging.CRITICAL if is_failure else logging.INFO

    def end(self) -> None:
        """Log the last line, once. Whatever ends the process without Python's own shutdown has to call this."""
        logger, self._logger = self._logger, None
        if logger is not None:
            reason = self._reason or "nothing is left to do"
            message = "clock %s: %s ended: %s"
            logger.log(self._level, message, __version__, self._name, reason, extra={FIELDS: self._fields})

    def _end_early(self, reason: str) -> None:
        self.because(reason)
        self.end()

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log an error that nobody has handled."""
        if self._logger is not None:
            self._logger.critical("an error that nobody foresaw", exc_info=(kind, error, trace))
        self.because(f"{kind.__name__}: {error}", is_failure=True)


this_process = Lifetime()
