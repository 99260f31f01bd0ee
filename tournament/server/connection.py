"""One WebSocket connection: how frames are written to it, and what its client may send.

A fan-out writes a frame with one call of the socket's own `send`, with no code of ours in between. So a connection
tells the fan-out which function to call, and tells it again whenever that changes: see `clock.broadcast.fan_out`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from clock.asgi import DISCARD, ServerStatus, Write
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_GOING_AWAY
from tournament.server.adapter.websocket import WebSocket
from tournament.server.heartbeat import Heartbeat
from tournament.server.token_bucket import TokenBucket

logger = logging.getLogger(__name__)

# The first byte of a ping that is one whole frame: RFC 6455, section 5.2.
PING: Final = 0x89

# How a connection says which function its frames are to be written with.
SetWriter = Callable[["Connection", Write], None]


@dataclass(frozen=True)
class Shared:
    """What all connections of a worker share."""

    heartbeat: Heartbeat
    status: ServerStatus
    accepts_messages: bool  # whether clients may send messages at all
    max_control_frames: int  # that a client may send a second; 0 for no limit


class Connection:
    """The policy of one WebSocket: a viewer for the fan-out (`clock.asgi.Viewer`), and a client of the heartbeat.

    It answers the adapter's `ConnectionEvents`.
    """

    __slots__ = ("_control_frames", "_expected_pong", "_is_paused", "_set_writer", "_shared", "_socket")

    def __init__(self, socket: WebSocket, shared: Shared) -> None:
        self._socket = socket
        self._shared = shared
        self._control_frames = TokenBucket(shared.max_control_frames)
        self._set_writer: SetWriter | None = None  # how a fan-out learns which function to write with
        self._expected_pong: bytes | None = None
        self._is_paused = False

    @property
    def is_open(self) -> bool:
        """Whether the handshake is over and neither side has closed."""
        return self._socket.is_established

    @property
    def is_direct(self) -> bool:
        """Whether frames can be written straight to the socket: not over TLS."""
        return self._socket.direct_send is not None

    @property
    def _may_write(self) -> bool:
        """Whether a frame may go straight to the socket now, and the client reads, as far as is known."""
        return self._socket.is_clear and not self._is_paused

    # --- Writing frames ---

    def write(self, frame: bytes) -> bool:
        """Write a whole frame straight to the socket; or return False, and the client misses the frame.

        Never raises and never waits. Not for TLS.
        """
        send = self._socket.direct_send
        if send is None or not self._may_write:
            return False
        try:
            sent = send(frame)
        except BlockingIOError:
            return False
        except OSError as error:
            self.fail(error)
            return False
        if sent != len(frame):
            self.send_rest(frame[sent:])
        return True

    def bind_writer(self, set_writer: SetWriter) -> None:
        """Tell `set_writer` which function to write frames with: now, and whenever that changes."""
        self._set_writer = set_writer
        self.clear_changed()

    def send_rest(self, rest: bytes) -> None:
        """Send the rest of a frame that the socket accepted in part, before anything else."""
        self._socket.queue(rest)

    def fail(self, error: OSError) -> None:
        """Disconnect a client whose connection is broken, in the loop's next iteration: the caller may be iterating."""
        logger.debug("a client is disconnected: %r", error)
        self._socket.abort()

    def send_away(self) -> None:
        """Close because the worker stops. No effect unless the connection is open."""
        self._socket.close(CLOSE_GOING_AWAY, "the worker is going away")

    # --- Called by the adapter ---

    def opened(self) -> None:
        """Count the connection, and start to ping the client."""
        self._shared.status.opened += 1
        self._shared.heartbeat.join(self)

    def closed(self, code: int) -> None:
        """Count the close of a connection that was open."""
        if self._shared.heartbeat.leave(self):
            self._shared.status.count_close(code)

    def message_begins(self) -> None:
        """Refuse a message by its first byte."""
        if not self._shared.accepts_messages:
            self._socket.refuse(CLOSE_BROKEN_CONTRACT, "clients must not send messages")

    def control_frame_begins(self) -> None:
        """Refuse a client that sends too many pings, pongs and close frames."""
        if not self._control_frames.take():
            self._socket.refuse(CLOSE_BROKEN_CONTRACT, "too many control frames")

    def clear_changed(self) -> None:
        """Tell the fan-out which function to write with."""
        if self._set_writer is not None:
            send = self._socket.direct_send
            self._set_writer(self, send if send is not None and self._may_write else DISCARD)

    # --- Whether the client reads (see `Heartbeat`) ---

    def ping(self, payload: bytes) -> None:
        """Ask the client for a pong with this payload."""
        if self.is_open:
            self._expected_pong = payload
            if not self.write(bytes((PING, len(payload))) + payload):
                self._socket.queue_ping(payload)

    def pong(self, payload: bytes) -> None:
        """Resume writing: the client has read everything that was written before the ping with this payload."""
        if payload == self._expected_pong:
            self._expected_pong = None
            self._pause(paused=False)

    def pause_if_silent(self) -> None:
        """Write no more frames to a client that owes a pong, until it arrives."""
        if self._expected_pong is not None:
            self._pause(paused=True)

    def end_if_silent(self) -> None:
        """Disconnect a client that owes a pong."""
        if self._expected_pong is not None:
            self._shared.status.timed_out += 1
            self._socket.abort()

    def _pause(self, *, paused: bool) -> None:
        if paused != self._is_paused:
            self._is_paused = paused
            self.clear_changed()
