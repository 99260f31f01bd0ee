"""A connection on a real socket and Twisted's real transport, with a reactor whose time the test controls."""

import socket
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from daphne.ws_protocol import WebSocketFactory
from twisted.internet import tcp
from twisted.internet.testing import MemoryReactorClock

from clock.asgi import ServerStatus
from testbed.viewers import reset_on_close
from tournament.server.adapter.direct_socket import UNSENT_LIMIT_BYTES
from tournament.server.adapter.websocket import CLOSE_TIMEOUT_S, WebSocket
from tournament.server.connection import Connection, Shared
from tournament.server.heartbeat import Heartbeat

HANDSHAKE = (
    b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAME = b"\x81\x05hello"
LARGE_FRAME = b"\x82\x7e\x04\x00" + bytes(1_024)
PING = b"1234"


class Line:
    """A connection, its WebSocket and transport, and the client's end of the socket."""

    def __init__(self, *, max_message_size: int = 0, max_control_frames: int = 20) -> None:
        self.reactor = MemoryReactorClock()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.own, address = listener.accept()
        self.client.setblocking(False)
        self.own.setblocking(False)
        connections: set[WebSocket] = set()
        self.heartbeat = Heartbeat(6, 6)
        shared = Shared(
            self.heartbeat,
            ServerStatus(),
            accepts_messages=max_message_size > 0,
            max_control_frames=max_control_frames,
        )
        self.server = SimpleNamespace(
            established=lambda _socket: None,
            connections=connections,
            root_path="",
            proxy_forwarded_address_header=None,
            create_application=Mock(),
            protocol_connected=connections.add,
            protocol_disconnected=connections.remove,
            log_action=Mock(),
        )
        factory = WebSocketFactory(self.server, reactor=self.reactor)
        factory.setProtocolOptions(maxMessagePayloadSize=max_message_size)
        self.socket = WebSocket.with_options_of(factory, partial(Connection, shared=shared))()
        self.socket.factory = factory
        self.socket._raw_query_string = b""
        self.transport = tcp.Server(self.own, self.socket, address, None, 1, self.reactor)  # type: ignore[arg-type]
        self.socket.makeConnection(self.transport)
        policy = self.socket.events
        assert isinstance(policy, Connection)
        self.connection = policy

    def close(self) -> None:
        """Close both ends."""
        self.client.close()
        self.own.close()

    def shake_hands(self) -> None:
        """Accept the client; the answer is queued, and not sent yet."""
        self.socket.dataReceived(HANDSHAKE)
        self.socket.serverAccept()

    def open(self) -> None:
        """Accept the client, and read the answer."""
        self.shake_hands()
        self.flush()
        assert self.read().startswith(b"HTTP/1.1 101 ")

    def flush(self) -> None:
        """Do what the reactor does when the socket is writable."""
        self.transport.doWrite()

    def read(self) -> bytes:
        """Return everything the client has received."""
        data = b""
        try:
            while chunk := self.client.recv(1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data

    def fill(self) -> bytes:
        """Write frames until one is refused; return what was accepted. The client does not read."""
        accepted = b""
        while self.connection.write(LARGE_FRAME):
            accepted += LARGE_FRAME
        return accepted


@pytest.fixture
def line() -> Iterator[Line]:
    """A connection before its handshake."""
    line = Line()
    yield line
    line.close()


def test_a_frame_is_written_at_once(line: Line) -> None:
    """An open connection writes to the socket during the call, not when the reactor runs."""
    line.open()
    assert line.connection.write(FRAME)
    assert line.read() == FRAME
    assert not line.reactor.writers


def test_no_frame_before_the_handshake(line: Line) -> None:
    """Nor while the application has not accepted yet."""
    assert not line.connection.write(FRAME)
    line.socket.dataReceived(HANDSHAKE)
    assert not line.connection.write(FRAME)
    assert line.read() == b""


def test_no_frame_before_the_101_is_sent(line: Line) -> None:
    """A frame must not overtake the answer while that is queued."""
    line.shake_hands()
    assert not line.connection.write(FRAME)
    line.flush()
    assert line.connection.write(FRAME)
    assert line.read().endswith(b"\r\n\r\n" + FRAME)


def test_no_frame_after_a_close_frame(line: Line) -> None:
    """Neither while the close frame is queued nor when it has been sent."""
    line.open()
    line.socket.sendClose(4012)
    assert not line.connection.write(FRAME)
    line.flush()
    assert not line.connection.write(FRAME)
    assert line.read() == b"\x88\x02\x0f\xac"


def test_no_frame_while_the_transport_has_data_queued(line: Line) -> None:
    """For example a message that the application sends by itself."""
    line.open()
    line.socket.sendMessage(b"before")
    assert not line.connection.write(FRAME)
    line.flush()
    assert line.connection.write(FRAME)
    assert line.read() == b"\x81\x06before" + FRAME


def test_no_frame_while_autobahn_has_data_queued(line: Line) -> None:
    """Autobahn sends a message in pieces on request."""
    line.open()
    line.socket.send_queue.append((b"piece", True))
    assert not line.connection.write(FRAME)
    line.socket.send_queue.clear()
    assert line.connection.write(FRAME)


def test_no_frame_after_the_connection_is_lost(line: Line) -> None:
    """Nor after this side has dropped it."""
    line.open()
    line.socket.dropConnection(abort=True)
    assert not line.connection.write(FRAME)
    line.reactor.advance(1)
    assert not line.connection.write(FRAME)
    assert line.socket not in line.server.connections


def test_what_is_buffered_for_a_stalled_client_is_limited(line: Line) -> None:
    """The kernel accepts `UNSENT_LIMIT_BYTES` beyond what is in flight, which is a window or two of 64 KiB."""
    line.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.open()
    accepted = line.fill()
    assert len(accepted) < UNSENT_LIMIT_BYTES + 2 * 65_536  # without the limit it is megabytes
    assert line.transport._tempDataLen < len(LARGE_FRAME)  # nothing is kept for it but the rest of a frame
    line.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # it reads faster so
    received = b""
    while len(received) < len(accepted):
        received += line.read()
        line.flush()
    assert received == accepted
    assert line.connection.write(FRAME)  # it reads again, and is written to again


def test_the_rest_of_a_frame_is_sent_first(line: Line) -> None:
    """The transport sends the rest of a frame that the socket accepted in part; meanwhile the client misses frames."""
    line.open()
    large = b"\x82\x7f" + (1 << 23).to_bytes(8, "big") + bytes(1 << 23)
    assert line.connection.write(large)
    assert line.reactor.writers
    assert not line.connection.write(FRAME)
    got = b""
    while len(got) < len(large):
        got += line.read()
        if line.transport.dataBuffer or line.transport._tempDataBuffer:
            assert not line.connection.write(FRAME)
            line.flush()
    assert line.connection.write(FRAME)
    assert got + line.read() == large + FRAME


def test_a_reset_ends_the_connection(line: Line) -> None:
    """The write returns False and raises nothing; the connection ends in the reactor's next iteration."""
    line.open()
    reset_on_close(line.client)
    line.client.close()
    line.connection.write(FRAME)
    assert not line.connection.write(FRAME)
    assert line.socket in line.server.connections  # nothing has changed for the caller yet
    line.reactor.advance(1)
    assert line.socket not in line.server.connections
    assert not len(line.heartbeat)


def test_direct_writing_is_not_offered_over_tls(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written straight to the socket would be sent unencrypted."""
    assert line.connection.is_direct
    monkeypatch.setattr(tcp.Server, "TLS", True)
    other = Line()
    assert not other.connection.is_direct
    other.close()


# --- Pings ---


def pong(payload: bytes) -> bytes:
    """Return a pong as a client sends it; a mask of zeros leaves the payload as it is."""
    return bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def test_a_client_that_answers_a_ping_stays(line: Line) -> None:
    """The ping is written straight to the socket, as a frame is."""
    line.open()
    line.connection.ping(PING)
    assert line.read() == b"\x89\x04" + PING
    line.socket.dataReceived(pong(PING))
    line.connection.pause_if_silent()
    line.connection.end_if_silent()
    assert line.connection.write(FRAME)


def test_a_client_that_owes_a_pong_is_paused_until_it_arrives(line: Line) -> None:
    """A pong with another payload does not count."""
    line.open()
    line.connection.ping(PING)
    assert line.connection.write(FRAME)
    line.connection.pause_if_silent()
    assert not line.connection.write(FRAME)
    line.socket.dataReceived(pong(b"else"))
    assert not line.connection.write(FRAME)
    line.socket.dataReceived(pong(PING))
    assert line.connection.write(FRAME)


def test_a_pong_is_read_however_it_arrives(line: Line) -> None:
    """Alone, behind another frame, in two parts, or with a mask."""
    line.open()
    masked = b"\x8a\x84mask" + bytes(byte ^ mask for byte, mask in zip(PING, b"mask", strict=True))
    ping = b"\x89\x80mask"
    together, apart = (
        [[masked], [pong(PING)], [ping + masked]],
        [[masked[:5], masked[5:]], [ping[:3], ping[3:] + masked]],
    )
    for parts in (*together, *apart):
        line.connection.ping(PING)
        line.connection.pause_if_silent()
        assert not line.connection.write(FRAME)
        for part in parts:
            line.socket.dataReceived(part)
        line.flush()
        assert line.connection.write(FRAME), parts
    line.connection.ping(PING)
    line.connection.pause_if_silent()
    line.socket.dataReceived(b"\x8a\x84mask" + PING)  # another payload
    assert not line.connection.write(FRAME)


def test_what_looks_like_a_pong_is_none_in_the_middle_of_a_frame(line: Line) -> None:
    """It is the payload of a ping of ten bytes, and is returned as such."""
    line.open()
    line.connection.ping(PING)
    line.read()
    line.socket.dataReceived(b"\x89\x8a\0\0\0\0")
    line.socket.dataReceived(pong(PING))
    line.flush()
    assert line.read() == b"\x8a\x0a" + pong(PING)
    line.connection.pause_if_silent()
    assert not line.connection.write(FRAME)


def test_a_client_that_never_answers_is_disconnected(line: Line) -> None:
    """It gets no close frame, which it would not read."""
    line.open()
    line.read()
    line.connection.ping(PING)
    line.connection.end_if_silent()
    line.reactor.advance(1)
    assert line.transport.disconnected
    assert line.socket not in line.server.connections


def test_a_ping_is_queued_behind_other_data(line: Line) -> None:
    """It must not be sent in the middle of it."""
    line.open()
    line.socket.sendMessage(b"before")
    line.connection.ping(PING)
    assert line.read() == b""
    line.flush()
    assert line.read() == b"\x81\x06before" + b"\x89\x04" + PING


def test_a_closing_connection_is_not_pinged(line: Line) -> None:
    """And its client owes no pong."""
    line.open()
    line.socket.sendClose(4012)
    line.connection.ping(PING)
    line.connection.end_if_silent()
    line.flush()
    assert line.read() == b"\x88\x02\x0f\xac"


def test_a_handshake_that_the_application_does_not_answer(line: Line) -> None:
    """It is refused with 403. The server does that after Daphne's time limit for handshakes."""
    line.socket.dataReceived(HANDSHAKE)
    line.socket.serverReject()
    line.flush()
    assert line.read().startswith(b"HTTP/1.1 403 ")


# --- What a client may not send ---

REFUSED = b"\x88\x20\x0f\xa8clients must not send messages"
TOO_MANY = b"\x88\x19\x0f\xa8too many control frames"


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x80mask",
        b"\x82",  # its first byte is enough
        b"\x01",  # a fragment that is never completed
        b"\x00\x80mask",  # the rest of a message that never began
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",  # more than there is memory
        b"\xf1\x80mask",  # reserved bits
        b"\x83\x80mask",  # an unknown opcode
        pong(PING) + b"\x81\x80mask" * 1_000,
    ],
)
def test_a_message_is_refused_by_its_first_byte(line: Line, data: bytes) -> None:
    """Nothing more is read, the application receives nothing, and after a moment the client is disconnected."""
    line.open()
    line.socket.dataReceived(data)
    line.flush()
    assert line.read() == REFUSED
    assert not line.socket.data
    assert line.transport not in line.reactor.readers
    line.socket.dataReceived(data * 100)
    assert not line.socket.data
    assert not line.connection.write(FRAME)
    line.reactor.advance(CLOSE_TIMEOUT_S - 0.01)
    assert line.socket in line.server.connections
    line.reactor.advance(0.02)
    line.reactor.advance(0)
    assert line.socket not in line.server.connections


def test_messages_are_accepted_up_to_the_size_of_daphnes_option() -> None:
    """They are passed to the application, and a larger one closes the connection."""
    line = Line(max_message_size=5)
    line.open()
    line.socket.application_queue = Mock()
    line.socket.dataReceived(b"\x81\x85\0\0\0\0hello")
    line.socket.application_queue.put_nowait.assert_called_with({"type": "websocket.receive", "text": "hello"})
    line.socket.dataReceived(b"\x81\x86\0\0\0\0hello!")
    assert line.socket.state != line.socket.STATE_OPEN
    line.close()


def test_a_flood_of_pings_ends_the_connection() -> None:
    """Pings up to the limit are answered, then the client is closed, and the rest is not read."""
    line = Line(max_control_frames=5)
    line.open()
    line.socket.dataReceived(b"\x89\x80mask" * 20_000)
    line.flush()
    assert line.read() == b"\x8a\x00" * 5 + TOO_MANY
    line.close()


def test_pongs_count_as_control_frames() -> None:
    """The answers to the heartbeat's pings are far below the limit."""
    for payload in (b"", PING):
        line = Line(max_control_frames=5)
        line.open()
        for _ in range(6):
            line.socket.dataReceived(pong(payload))
        line.flush()
        assert line.read() == TOO_MANY
        line.socket.dataReceived(pong(payload))  # not read any more
        line.close()
    line = Line(max_control_frames=5)
    line.open()
    line.socket.dataReceived(pong(b"") * 6)
    line.flush()
    assert line.read() == TOO_MANY
    line.close()


def test_a_limit_of_0_control_frames_is_no_limit() -> None:
    """1,000 pings at once are answered."""
    line = Line(max_control_frames=0)
    line.open()
    line.socket.dataReceived(b"\x89\x80mask" * 1_000)
    while line.transport.dataBuffer or line.transport._tempDataBuffer:
        line.flush()
    assert line.read() == b"\x8a\x00" * 1_000
    line.close()


@pytest.mark.parametrize("more", [HANDSHAKE, b"\x81\x80mask"])
def test_data_behind_the_handshake_waits_for_the_answer(line: Line, more: bytes) -> None:
    """It is kept until the handshake is accepted, is not read as another handshake, and is refused as a message is."""
    line.socket.dataReceived(HANDSHAKE)
    line.socket.dataReceived(more)
    assert line.transport not in line.reactor.readers
    line.server.create_application.assert_called_once()
    line.socket.serverAccept()
    line.flush()
    answer = line.read()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n" + REFUSED)
    line.reactor.advance(CLOSE_TIMEOUT_S)
    assert line.socket.state == line.socket.STATE_CLOSED


@pytest.mark.parametrize("after", [0.0, 0.5, 0.99])
def test_a_client_has_time_to_read_a_close(line: Line, after: float) -> None:
    """All of `CLOSE_TIMEOUT_S`, at any part of a second: Autobahn's own timer ends with the second."""
    line.reactor.advance(after)
    line.open()
    line.socket.sendClose(4012)
    line.reactor.advance(CLOSE_TIMEOUT_S - 0.01)
    assert not line.transport.disconnected
    line.reactor.advance(0.02)
    line.reactor.advance(0)
    assert line.transport.disconnected
