"""Connections that another process has accepted, for this process to serve."""

import contextlib
import socket
from typing import Any

from tournament.server.adapter.http_channel import HttpChannel
from tournament.server.adapter.reactor import current_reactor
from tournament.server.adapter.websocket import CONNECTING, WebSocket


class AdoptedConnection:
    """A connection, served by the protocols of `factory` as if it had been accepted here."""

    def __init__(self, connection: socket.socket, factory: Any) -> None:
        self._transport: Any = None  # None if the client has disconnected already
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.getpeername()  # raises OSError where Twisted would leave a socket open
            self._transport = current_reactor().adoptStreamConnection(connection.fileno(), connection.family, factory)

    @property
    def is_undecided(self) -> bool:
        """Whether the connection may become a WebSocket: nothing was requested, or the handshake is not over."""
        if self._transport is None or not self._transport.connected:
            return False
        protocol = self._transport.protocol
        if isinstance(protocol, WebSocket):
            return bool(protocol.state == CONNECTING)
        channel = protocol._channel
        return isinstance(channel, HttpChannel) and channel.is_new
