"""Twisted's log."""

from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogPublisher,
)


def log_twisted_errors() -> None:
    """Log the errors that Twisted catches, as `twisted`. Daphne discards everything that Twisted logs."""
    # mypy does not know that these classes implement zope's interfaces, so they are passed as Any.
    predicates: list[Any] = [LogLevelFilterPredicate(LogLevel.error)]
    observer: Any = STDLibLogObserver("twisted")
    filtered: Any = FilteringLogObserver(observer, predicates)
    globalLogPublisher.addObserver(filtered)
