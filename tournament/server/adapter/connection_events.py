"""What a WebSocket reports to its policy."""

from typing import Final, Protocol


class ConnectionEvents(Protocol):
    """The policy of one WebSocket."""

    def opened(self) -> None:
        """Handle the end of the handshake: from now on both sides may send."""

    def closed(self, code: int) -> None:
        """Handle the end of the connection, whether it had opened or not.

        The code is the one that this side sent, or else the client's; 1005 and 1006 stand for no code and for no close
        frame: RFC 6455, section 7.4.1.
        """

    def message_begins(self) -> None:
        """Handle the first byte of a data frame. May be called more than once for a frame."""

    def control_frame_begins(self) -> None:
        """Handle the header of a ping, pong or close frame."""

    def pong(self, payload: bytes) -> None:
        """Handle a pong."""

    def clear_changed(self) -> None:
        """Handle that `WebSocket.is_clear` may have changed."""


class _Detached:
    """The policy of a WebSocket that is not connected yet, or no longer: it does nothing."""

    def opened(self) -> None: ...
    def closed(self, code: int) -> None: ...
    def message_begins(self) -> None: ...
    def control_frame_begins(self) -> None: ...
    def pong(self, payload: bytes) -> None: ...
    def clear_changed(self) -> None: ...


DETACHED: Final[ConnectionEvents] = _Detached()
