"""One WebSocket connection: Daphne's, with a way to write a ready-made frame straight to the socket."""

import logging
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Self

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import tcp

from clock.asgi import DISCARD, Write
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_GOING_AWAY
from tournament.server.token_bucket import TokenBucket

logger = logging.getLogger(__name__)

# Bytes that the kernel takes for a client beyond what is on its way. Without a bound it takes megabytes for one that
# does not read. It must be this and not SO_SNDBUF, which counts what is on its way too, and so starves a client at the
# far end of a long line.
UNSENT_LIMIT: Final = 64 * 1024

# Seconds that a client has for reading a close frame and answering it, before it is cut off.
CLOSE_TIMEOUT: Final = 0.9

# The first opcode of a control frame; those of data frames are below: RFC 6455, section 5.2.
FIRST_CONTROL_OPCODE: Final = 8

OPEN: Final = WebSocketProtocol.STATE_OPEN
CONNECTING: Final = WebSocketProtocol.STATE_CONNECTING

# How a connection says by what its frames are to be written: see `clock.broadcast.fan_out.Viewer`.
SetWriter = Callable[["Connection", Write], None]


class Connection(WebSocketProtocol):
    """One WebSocket connection."""

    # The options that Autobahn copies from the factory to each connection, and prints for a log that nobody reads: that
    # is 40 % of what a connection costs. Here they are in the class instead, see `with_options_of`.
    CONFIG_ATTRS: Final[tuple[str, ...]] = ()

    # Control frames that a client may send, a second; 0 for any number.
    max_control_frames = 0

    @classmethod
    def with_options_of(cls, factory: Any, *, max_control_frames: int = 0) -> type[Self]:
        """Return this class with a factory's options.

        With a `maxMessagePayloadSize` of 0 it takes no messages at all.
        """
        options = {name: getattr(factory, name) for name in WebSocketProtocol.CONFIG_ATTRS}
        # Autobahn's own timer for a close is up to a second early, and has no second (see `sendCloseFrame`).
        options |= {"closeHandshakeTimeout": 0, "max_control_frames": max_control_frames}
        # A function in a class would be taken for a method.
        functions = {name: staticmethod(value) for name, value in options.items() if callable(value)}
        return type(cls.__name__, (cls,), options | functions)

    def __init__(self) -> None:
        super().__init__()
        self._opened_at = time.monotonic()
        self._send: Any = None  # the socket's own `send`, where frames may go straight to it
        self._set_writer: SetWriter | None = None  # where a fan-out is told by what to write
        self._paused = False
        self._expected_pong: bytes | None = None
        self._control_frames = TokenBucket(self.max_control_frames)
        self._refused = False
        self._cutting_off: Any = None  # the timer of a connection that is to end when all has been sent
        self.request: Any = None  # the handshake, once all of it has come

    # --- Opening and closing ---

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Know the server from the start: Daphne's `onClose` needs it even where the handshake fails."""
        self.server = self.factory.server_class
        super().connectionMade()
        transport = self.transport
        # Over TLS the transport is another, and what is written straight to the socket would not be encrypted.
        if isinstance(transport, tcp.Server) and not transport.TLS:
            self._send = transport.socket.send
            # Until here it was an HTTP channel's, which refers to its request and is referred to by it. Parted, both
            # are gone at once; a crowd's would wait for the collector.
            if transport.producer is not None:
                transport.producer.successor = self
                self.factory.reactor.callLater(0, transport.producer.requests.clear)
                transport.unregisterProducer()
            # As a producer, this is told whenever all that was queued has gone out.
            transport.registerProducer(self, streaming=False)
            if transport.socket.family in {socket.AF_INET, socket.AF_INET6}:
                transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)

    def onConnect(self, request: Any) -> Any:  # noqa: N802 - Autobahn's name
        """Refuse what Daphne would stumble over: it reads the subprotocols as ASCII."""
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "Sec-WebSocket-Protocol must be ASCII")
        return super().onConnect(request)

    def onOpen(self) -> None:  # noqa: N802 - Autobahn's name
        """Begin to look whether the client is there, and forget its handshake: kilobytes, with a browser."""
        super().onOpen()
        self.server.status.opened += 1
        self.server.heartbeat.join(self)
        self.http_request_data = b""
        self.http_headers = self.request.headers = {}
        self.clean_headers: list[tuple[bytes, bytes]] = []
        if self.data:
            self.transport.resumeProducing()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803 - Autobahn's names
        """Hand on a message, unless this side has closed: what comes after that concerns nobody."""
        if self.state == OPEN:
            super().onMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001, N802, N803
        """Tell the application, if the connection ever got as far as that."""
        if self.server.heartbeat.leave(self):  # it was open
            self.server.status.count_close(self.localCloseCode or self.remoteCloseCode or (1005 if wasClean else 1006))
        if self in self.server.connections:
            super().onClose(wasClean, code, reason)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Pass the reason of a close on to the client, which Daphne drops."""
        if message["type"] == "websocket.close" and self.state == OPEN:
            self.sendClose(message.get("code", 1000), message.get("reason"))
        else:
            super().handle_reply(message)

    # Daphne's own raise an AttributeError where the handshake is over already.

    def serverAccept(self, subprotocol: str | None = None) -> None:  # noqa: N802 - Daphne's name
        """Accept the handshake, unless it is over."""
        if hasattr(self, "handshake_deferred"):
            super().serverAccept(subprotocol)

    def serverReject(self) -> None:  # noqa: N802 - Daphne's name
        """Reject the handshake; where there is none to answer (any more), drop the connection."""
        if hasattr(self, "handshake_deferred"):
            super().serverReject()
        else:
            self.dropConnection(abort=True)

    def handle_exception(self, exception: Exception) -> None:
        """Tell the client that the application failed."""
        super().handle_exception(exception)
        self.__dict__.pop("handshake_deferred", None)  # answered, and not to be answered again

    def send_away(self) -> None:
        """Close, because the worker stops; nothing happens unless the connection is open."""
        if self.state == OPEN:
            self.sendClose(CLOSE_GOING_AWAY, "the worker is going away")

    def peer_address(self) -> list[str | int] | None:
        """Return the host and port that the connection comes from; None for a Unix socket."""
        peer = self.transport.getPeer()
        return [peer.host, peer.port] if hasattr(peer, "port") else None

    def sendCloseFrame(  # noqa: N802 - Autobahn's name
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,  # noqa: N803 - Autobahn's name
        isReply: bool = False,  # noqa: FBT001, FBT002, N803 - Autobahn's name
    ) -> None:
        """Close, and give the client a moment to read it and to answer."""
        was_open = self.state == OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if was_open and not isReply:
            self.closeHandshakeTimeoutCall = self.factory.reactor.callLater(CLOSE_TIMEOUT, self.onCloseHandshakeTimeout)

    def duration(self) -> float:
        """Return the seconds since the connection was made, whatever the wall clock does."""
        return time.monotonic() - self._opened_at

    def check_timeouts(self) -> None:
        """Enforce Daphne's time limits. Its pings are not sent: they go by the wall clock, and see `Heartbeat`."""
        if self.state == self.STATE_CONNECTING:
            if self.duration() > self.server.websocket_connect_timeout:
                self.serverReject()
        elif 0 <= self.server.websocket_timeout < self.duration():
            self.serverClose()

    # --- What comes in ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read what has come, without the line for a log that Autobahn composes before."""
        if self.state == CONNECTING and self.request is not None:
            # It did not wait for the answer. Autobahn would look for another handshake in it.
            self.data += data
            self.transport.pauseProducing()
        elif not self._refused:
            self._dataReceived(data)

    def processData(self) -> bool:  # noqa: N802 - Autobahn's name
        """Take in a frame, or what has come of it. A message is refused by its first byte."""
        at_header = self.current_frame is None and self.data and not self.maxMessagePayloadSize
        if at_header and self.data[0] % 16 < FIRST_CONTROL_OPCODE:
            self.refuse("clients must not send messages")
        return not self._refused and bool(super().processData())

    def onFrameBegin(self) -> None:  # noqa: N802 - Autobahn's name
        """Take in a frame whose header has come, unless there were too many pings and the like before it."""
        if self.current_frame.opcode >= FIRST_CONTROL_OPCODE and not self._control_frames.take():
            self.refuse("too many control frames")
        else:
            super().onFrameBegin()

    def refuse(self, reason: str) -> None:
        """Close a client that broke the contract: what it still sends is not read, and after a moment it is cut off."""
        self._refused = True
        self.data = b""
        self.transport.pauseProducing()
        self.sendClose(CLOSE_BROKEN_CONTRACT, reason)

    # --- Writing straight to the socket ---

    @property
    def is_direct(self) -> bool:
        """Whether frames can be written straight to the socket: not over TLS."""
        return self._send is not None

    @property
    def is_clear(self) -> bool:
        """Whether a frame may go straight to the socket now.

        The connection is open and nothing is queued before it: the 101 has gone out, no close frame was sent, and no
        other frame is on its way. And the client reads, as far as is known.
        """
        transport = self.transport
        return bool(
            self.state == OPEN
            and not self._paused
            and not transport.dataBuffer
            and not transport._tempDataBuffer  # noqa: SLF001 - Twisted has no other word for "nothing is queued"
            and not self.send_queue
        )

    def write(self, frame: bytes) -> bool:
        """Write a whole frame, ready-made, straight to the socket; or say False, and the client has missed it.

        Never raises and never waits. Not for TLS.
        """
        if not self.is_clear:
            return False
        try:
            sent = self._send(frame)
        except BlockingIOError:
            return False
        except OSError as error:
            self.fail(error)
            return False
        if sent != len(frame):
            self.send_rest(frame[sent:])
        return True

    # --- As a viewer of the fan-out: by the socket's own `send` while that is clear ---

    def bind_writer(self, set_writer: SetWriter) -> None:
        """Tell `set_writer` by which function to write frames: now, and whenever that changes."""
        self._set_writer = set_writer
        self._update_writer()

    def send_rest(self, rest: bytes) -> None:
        """Send the rest of a frame that the socket took in part, before anything else."""
        self.transport.write(rest)
        self._update_writer()

    def fail(self, error: OSError) -> None:
        """Drop a connection that is broken, in the loop's next turn: nothing changes under whoever writes."""
        logger.debug("a client has gone: %r", error)
        self.dropConnection(abort=True)

    def _update_writer(self) -> None:
        if self._set_writer is not None:
            self._set_writer(self, self._send if self.is_clear else DISCARD)

    # Whatever can put something in the way of a frame, or take it away, passes one of these.

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002, N802
        """Send what Autobahn sends: an answer, a message, a ping or a pong, a close frame."""
        super().sendData(data, sync, chopsize)
        self._update_writer()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Know that the transport has sent all that was queued."""
        self._update_writer()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Know that the transport is lost."""
        self._update_writer()

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: FBT001, FBT002, N802 - Autobahn's name
        super()._closeConnection(abort)
        if not abort:
            # A client that does not read what is still queued, or does not end its side of TLS, would hold it for ever.
            self._cutting_off = self.factory.reactor.callLater(CLOSE_TIMEOUT, super()._closeConnection, True)
        self._update_writer()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """Know that it is over."""
        if self._cutting_off is not None and self._cutting_off.active():
            self._cutting_off.cancel()
        super().connectionLost(reason)

    # --- Seeing whether the client reads (see `Heartbeat`) ---

    def ping(self, payload: bytes) -> None:
        """Ask the client for a pong with this payload."""
        if self.state == OPEN:
            self._expected_pong = payload
            if not (self.is_direct and self.write(bytes((0x89, len(payload))) + payload)):
                self.sendPing(payload)

    def onPong(self, payload: bytes) -> None:  # noqa: N802 - Autobahn's name
        """Know that the client has read all that was written before the ping."""
        if payload == self._expected_pong:
            self._expected_pong = None
            self._pause(paused=False)

    def pause_if_silent(self) -> None:
        """Write no more frames to a client that owes a pong, until it comes."""
        if self._expected_pong is not None:
            self._pause(paused=True)

    def end_if_silent(self) -> None:
        """Cut off a client that owes a pong."""
        if self._expected_pong is not None:
            self.server.status.cut_off += 1
            self.dropConnection(abort=True)

    def _pause(self, *, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._update_writer()
