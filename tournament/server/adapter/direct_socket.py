"""Straight to a socket, past Twisted's buffers, and straight from it, past Autobahn's parser."""

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import tcp

# Bytes that the kernel accepts for a client beyond those in flight. Without a limit it accepts megabytes for a client
# that does not read. It must be this and not SO_SNDBUF, which counts what is in flight too, and so starves a client
# that is far away.
UNSENT_LIMIT_BYTES: Final = 64 * 1024

# A pong that is one whole frame, with a mask and a payload of four bytes each: RFC 6455, section 5.2.
_SHORT_PONG: Final = b"\x8a\x84"
_SHORT_PONG_LENGTH: Final = 10


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


def read_short_pong(data: bytes) -> bytes | None:
    """Return the payload of a pong with four bytes, or None if this is anything else.

    A crowd answers the heartbeat with thousands of them a second, and Autobahn takes twenty times as long for one.
    """
    if len(data) != _SHORT_PONG_LENGTH or not data.startswith(_SHORT_PONG):
        return None
    return (int.from_bytes(data[2:6]) ^ int.from_bytes(data[6:])).to_bytes(4)
