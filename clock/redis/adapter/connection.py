"""A connected socket of redis-py, for a protocol of our own."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)


def take_over(connection: Any, make_protocol: Callable[[asyncio.Transport], P]) -> P:
    """Have a protocol receive what Redis sends on a connection of redis-py, and return it.

    redis-py has done everything that comes before: TLS, passwords, Sentinel. It can still send commands, and close the
    connection, if the new protocol passes `pause_writing`, `resume_writing` and `connection_lost` on to the one that
    `transport.get_protocol()` returns before. It cannot read replies any more.
    """
    transport: asyncio.Transport = connection._writer.transport
    protocol = make_protocol(transport)
    transport.set_protocol(protocol)
    return protocol
