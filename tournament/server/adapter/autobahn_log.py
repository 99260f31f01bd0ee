"""Autobahn's log, without the terminal colours that it prepares for lines that nobody reads.

Autobahn formats some twenty names and values for each connection with colours, whatever the log level is. That is a
tenth of what a handshake costs.
"""

from typing import Any

import autobahn.twisted.websocket
import autobahn.websocket.protocol


def omit_colours() -> None:
    """Pass names and values to Autobahn's log as they are."""
    for module in (autobahn.websocket.protocol, autobahn.twisted.websocket):
        vars(module).update(hltype=_plain, hlval=_plain)


def _plain(value: Any, *_colour: Any) -> Any:
    return value
