"""One WebSocket: Daphne's protocol, with direct access to its socket and without what does not suit large crowds.

The policy of a connection (which frames its client may send, when it is written to) is in a plain object: see
`ConnectionEvents`. Autobahn and Daphne give none of the hooks below as their API, so all use of them is here.
"""

from collections.abc import Callable
from typing import Any, Final, Self

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol

from tournament.server.adapter.connection_events import DETACHED, ConnectionEvents
from tournament.server.adapter.direct_socket import has_queued_data, open_direct_socket, read_short_pong

# Seconds that a client has to read a close frame and answer it, before it is disconnected.
CLOSE_TIMEOUT_S: Final = 0.9

# The first opcode of a control frame; those of data frames are lower: RFC 6455, section 5.2.
FIRST_CONTROL_OPCODE: Final = 8

OPEN: Final[int] = WebSocketProtocol.STATE_OPEN
CONNECTING: Final[int] = WebSocketProtocol.STATE_CONNECTING


class WebSocket(WebSocketProtocol):
    """One WebSocket. A server is `self.server`, a `DaphneServer`."""

    # The options that Autobahn copies from the factory to each connection, and formats for a log that nobody reads:
    # that is 40 % of what a connection costs. Here they are in the class instead, see `with_options_of`.
    CONFIG_ATTRS: Final[tuple[str, ...]] = ()

    make_events: Callable[["WebSocket"], ConnectionEvents]

    @classmethod
    def with_options_of(cls, factory: Any, make_events: Callable[["WebSocket"], ConnectionEvents]) -> type[Self]:
        """Return this class with a factory's options. `make_events` makes the policy of each connection."""
        options = {name: getattr(factory, name) for name in WebSocketProtocol.CONFIG_ATTRS}
        # Autobahn's own timer for a close fires up to a second early, and fires once (see `sendCloseFrame`).
        options |= {"closeHandshakeTimeout": 0, "make_events": make_events}
        # Python would bind a function in a class as a method.
        functions = {name: staticmethod(value) for name, value in options.items() if callable(value)}
        return type(cls.__name__, (cls,), options | functions)

    def __init__(self) -> None:
        super().__init__()
        self.events: ConnectionEvents = DETACHED
        # The socket's own `send`, or None where frames cannot be written straight to the socket: over TLS.
        self.direct_send: Callable[[bytes], int] | None = None
        self._refused = False
        self._disconnect_timer: Any = None  # of a connection that ends when all queued data has been sent
        self.request: Any = None  # the handshake, once all of it has been received
        self.http_channel: Any = None  # on which the handshake was received, until it is over

    # --- For the policy ---

    @property
    def is_established(self) -> bool:
        """Whether the handshake is over and neither side has closed."""
        return bool(self.state == OPEN)

    @property
    def is_clear(self) -> bool:
        """Whether the connection is open and nothing is queued: no 101, close frame or other frame waits to be sent.

        Only then may `direct_send` be used.
        """
        return bool(self.state == OPEN and not self.send_queue and not has_queued_data(self.transport))

    def queue(self, data: bytes) -> None:
        """Send data as it is, before anything that is sent later."""
        self.transport.write(data)
        self.events.clear_changed()

    def queue_ping(self, payload: bytes) -> None:
        """Send a ping behind what is queued."""
        self.sendPing(payload)

    def close(self, code: int, reason: str) -> None:
        """Close an open connection with a close frame; no effect on any other."""
        if self.state == OPEN:
            self.sendClose(code, reason)

    def refuse(self, code: int, reason: str) -> None:
        """Close, and read nothing more that the client sends."""
        self._refused = True
        self.data = b""
        self.transport.pauseProducing()
        self.sendClose(code, reason)

    def abort(self) -> None:
        """Disconnect without a close frame. The state changes in the loop's next iteration, not during this call."""
        self.dropConnection(abort=True)

    def peer_address(self) -> list[str | int] | None:
        """Return the host and port that the connection comes from; None for a Unix socket."""
        peer = self.transport.getPeer()
        return [peer.host, peer.port] if hasattr(peer, "port") else None

    # --- Opening ---

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Take the socket over from the HTTP channel."""
        self.server = self.factory.server_class  # Daphne's `onClose` needs it even if the handshake fails
        super().connectionMade()
        self.direct_send = open_direct_socket(self.transport, self)
        self.events = self.make_events(self)

    def onConnect(self, request: Any) -> Any:  # noqa: N802 - Autobahn's name
        """Refuse subprotocols that are not ASCII: Daphne decodes them as ASCII, and logs a traceback."""
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "Sec-WebSocket-Protocol must be ASCII")
        return super().onConnect(request)

    def onOpen(self) -> None:  # noqa: N802 - Autobahn's name
        """Free the handshake, which is kilobytes from a browser, and read what the client sent behind it."""
        super().onOpen()
        self.server.established(self)
        self.transport.is_prompt = True  # for the reactor: its pongs are due
        self.events.opened()
        self._free_http_channel()
        self.http_request_data = b""
        self.http_headers = self.request.headers = {}
        self.clean_headers: list[tuple[bytes, bytes]] = []
        if self.data:
            self.transport.resumeProducing()

    def _free_http_channel(self) -> None:
        # The channel and its request refer to each other. Apart, both are freed at once.
        if self.http_channel is not None:
            self.http_channel.requests.clear()
            self.http_channel = None

    # Daphne's own methods raise AttributeError if the handshake is over already.

    def serverAccept(self, subprotocol: str | None = None) -> None:  # noqa: N802 - Daphne's name
        """Accept the handshake, unless it is over."""
        if hasattr(self, "handshake_deferred"):
            super().serverAccept(subprotocol)

    def serverReject(self) -> None:  # noqa: N802 - Daphne's name
        """Reject the handshake; disconnect if there is none to answer, or not any more."""
        if hasattr(self, "handshake_deferred"):
            super().serverReject()
        else:
            self.dropConnection(abort=True)

    def handle_exception(self, exception: Exception) -> None:
        """Tell the client that the application failed."""
        super().handle_exception(exception)
        self.__dict__.pop("handshake_deferred", None)  # answered, and not to be answered again

    # --- Receiving ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read what the client has sent, without the log line that Autobahn formats first."""
        if self.state == CONNECTING and self.request is not None:
            # The client did not wait for the answer. Autobahn would parse this as a second handshake.
            self.data += data
            self.transport.pauseProducing()
        elif not self._refused:
            is_between_frames = self.state == OPEN and not self.data and self.current_frame is None
            payload = read_short_pong(data) if is_between_frames else None
            if payload is None:
                self._dataReceived(data)
            else:
                self.events.control_frame_begins()
                if not self._refused:
                    self.onPong(payload)

    def processData(self) -> bool:  # noqa: N802 - Autobahn's name
        """Read a frame, or what has been received of it; return whether there may be another."""
        if self.current_frame is None and self.data and self.data[0] % 16 < FIRST_CONTROL_OPCODE:
            self.events.message_begins()
        return not self._refused and bool(super().processData())

    def onFrameBegin(self) -> None:  # noqa: N802 - Autobahn's name
        """Begin a frame whose header has been received."""
        if self.current_frame.opcode >= FIRST_CONTROL_OPCODE:
            self.events.control_frame_begins()
        if not self._refused:
            super().onFrameBegin()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803 - Autobahn's names
        """Pass a message on, unless this side has closed."""
        if self.state == OPEN:
            super().onMessage(payload, isBinary)

    def onPong(self, payload: bytes) -> None:  # noqa: N802 - Autobahn's name
        """Tell the policy."""
        self.events.pong(payload)

    # --- Sending. Whatever queues something, or sends what was queued, passes one of these. ---

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Send what the application sends. Daphne drops the reason of a close."""
        if message["type"] == "websocket.close" and self.state == OPEN:
            self.sendClose(message.get("code", 1000), message.get("reason"))
        else:
            super().handle_reply(message)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002, N802
        """Send what Autobahn sends: an answer, a message, a ping or a pong, a close frame."""
        super().sendData(data, sync, chopsize)
        self.events.clear_changed()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Handle that the transport has sent all queued data, or that it is lost."""
        self.events.clear_changed()

    stopProducing = resumeProducing  # noqa: N815 - Twisted's name

    # --- Closing ---

    def sendCloseFrame(  # noqa: N802 - Autobahn's name
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,  # noqa: N803 - Autobahn's name
        isReply: bool = False,  # noqa: FBT001, FBT002, N803 - Autobahn's name
    ) -> None:
        """Send a close frame, and give the client `CLOSE_TIMEOUT_S` seconds to answer."""
        was_open = self.state == OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if was_open and not isReply:
            self.closeHandshakeTimeoutCall = self.factory.reactor.callLater(
                CLOSE_TIMEOUT_S, self.onCloseHandshakeTimeout
            )

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: FBT001, FBT002, N802 - Autobahn's name
        super()._closeConnection(abort)
        if not abort:
            # A client that does not read what is queued, or does not end its side of TLS, would keep it open forever.
            self._disconnect_timer = self.factory.reactor.callLater(CLOSE_TIMEOUT_S, super()._closeConnection, True)
        self.events.clear_changed()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001, N802, N803
        """Tell the policy; and the application, if the handshake got as far as that."""
        self.events.closed(self.localCloseCode or self.remoteCloseCode or (1005 if wasClean else 1006))
        if self in self.server.connections:
            super().onClose(wasClean, code, reason)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """Free what refers to this connection, so that it does not wait for the garbage collector."""
        if self._disconnect_timer is not None and self._disconnect_timer.active():
            self._disconnect_timer.cancel()
        super().connectionLost(reason)
        self._free_http_channel()
        for name in ("is_closed", "handshake_deferred"):  # a result, and callbacks, that refer to this connection
            self.__dict__.pop(name, None)
        self.events = DETACHED
