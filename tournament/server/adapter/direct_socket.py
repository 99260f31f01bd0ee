"""The way to write straight to the socket of a connection, past Twisted's own buffers."""

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import tcp

# Bytes that the kernel accepts for a client beyond those in flight. Without a limit it accepts megabytes for a client
# that does not read. It must be this and not SO_SNDBUF, which counts what is in flight too, and so starves a client
# that is far away.
UNSENT_LIMIT_BYTES: Final = 64 * 1024


def open_direct_socket(transport: Any, websocket: Any) -> Callable[[bytes], int] | None:
    """Return the socket's own `send`, and make `websocket` the transport's producer; None over TLS.

    A producer is told whenever all queued data has been sent. Over TLS the transport is another, and what is written
    straight to the socket would not be encrypted.
    """
    if not isinstance(transport, tcp.Server) or transport.TLS:
        return None
    channel: Any = transport.producer  # the HTTP channel, until now
    if channel is not None:
        channel.successor = websocket
        websocket.http_channel = channel
        transport.unregisterProducer()
    transport.registerProducer(websocket, streaming=False)
    if transport.socket.family in {socket.AF_INET, socket.AF_INET6}:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT_BYTES)
    send: Callable[[bytes], int] = transport.socket.send
    return send


def has_queued_data(transport: Any) -> bool:
    """Return whether the transport has data that is not sent yet: Twisted has no public way to ask."""
    return bool(transport.dataBuffer or transport._tempDataBuffer)
