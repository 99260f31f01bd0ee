"""The logs of Twisted and Autobahn."""

from typing import Any

import autobahn.twisted.websocket
import autobahn.websocket.protocol
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


def omit_autobahn_colours() -> None:
    """Pass names and values to Autobahn's log as they are.

    Whatever the log level is, Autobahn colours some twenty of them for each connection. That is a tenth of what a
    handshake costs.
    """
    for module in (autobahn.websocket.protocol, autobahn.twisted.websocket):
        vars(module).update(hltype=_plain, hlval=_plain)


def _plain(value: Any, *_colour: Any) -> Any:
    return value
