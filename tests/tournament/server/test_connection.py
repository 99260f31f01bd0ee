"""A connection's own way to write: a real socket, Twisted's real transport, and the reactor in the test's hands."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from daphne.ws_protocol import WebSocketFactory
from twisted.internet import tcp
from twisted.internet.testing import MemoryReactorClock

from clock.asgi import ServerStatus
from tournament.server.connection import CLOSE_TIMEOUT, UNSENT_LIMIT, Connection
from tournament.server.heartbeat import Heartbeat

HANDSHAKE = (
    b"GET /ws/clock/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAME = b"\x81\x05hello"
PING = b"1234"


class Line:
    """A connection, its transport, and the client's end of the socket."""

    def __init__(self, *, max_message_size: int = 0, max_control_frames: int = 20) -> None:
        self.reactor = MemoryReactorClock()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.own, address = listener.accept()
        self.client.setblocking(False)
        self.own.setblocking(False)
        connections: set[Connection] = set()
        self.server = SimpleNamespace(
            connections=connections,
            heartbeat=Heartbeat(6, 6),
            status=ServerStatus(),
            root_path="",
            proxy_forwarded_address_header=None,
            create_application=Mock(),
            protocol_connected=connections.add,
            protocol_disconnected=connections.remove,
            log_action=Mock(),
        )
        factory = WebSocketFactory(self.server, reactor=self.reactor)
        factory.setProtocolOptions(maxMessagePayloadSize=max_message_size)
        self.connection = Connection.with_options_of(factory, max_control_frames=max_control_frames)()
        self.connection.factory = factory
        self.connection._raw_query_string = b""
        self.transport = tcp.Server(self.own, self.connection, address, None, 1, self.reactor)  # type: ignore[arg-type]
        self.connection.makeConnection(self.transport)

    def close(self) -> None:
        """Let go of both ends."""
        self.client.close()
        self.own.close()

    def shake_hands(self) -> None:
        """Have the client accepted; the answer is queued, and has not gone out."""
        self.connection.dataReceived(HANDSHAKE)
        self.connection.serverAccept()

    def open(self) -> None:
        """Have the client accepted, and its answer read."""
        self.shake_hands()
        self.flush()
        assert self.read().startswith(b"HTTP/1.1 101 ")

    def flush(self) -> None:
        """Do what the reactor does when the socket can be written to."""
        self.transport.doWrite()

    def read(self) -> bytes:
        """Return all that has come to the client."""
        data = b""
        try:
            while chunk := self.client.recv(1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data

    def fill(self) -> int:
        """Write frames until one is refused; return how many were taken. The client does not read."""
        count = 0
        while self.connection.write(FRAME):
            count += 1
        return count


@pytest.fixture
def line() -> Iterator[Line]:
    """A connection before its handshake."""
    line = Line()
    yield line
    line.close()


def test_an_open_connection_takes_a_frame(line: Line) -> None:
    """At once: nothing waits for the reactor."""
    line.open()
    assert line.connection.write(FRAME)
    assert line.read() == FRAME
    assert not line.reactor.writers


def test_not_before_the_handshake(line: Line) -> None:
    """Nor while the application has not accepted yet."""
    assert not line.connection.write(FRAME)
    line.connection.dataReceived(HANDSHAKE)
    assert not line.connection.write(FRAME)
    assert line.read() == b""


def test_not_before_the_101_has_gone_out(line: Line) -> None:
    """Accepted, and the answer is still queued: a frame must not overtake it."""
    line.shake_hands()
    assert not line.connection.write(FRAME)
    line.flush()
    assert line.connection.write(FRAME)
    assert line.read().endswith(b"\r\n\r\n" + FRAME)


def test_not_after_a_close_frame(line: Line) -> None:
    """Neither while it is queued nor when it has gone out."""
    line.open()
    line.connection.sendClose(4012)
    assert not line.connection.write(FRAME)
    line.flush()
    assert not line.connection.write(FRAME)
    assert line.read() == b"\x88\x02\x0f\xac"


def test_not_past_what_the_transport_has_queued(line: Line) -> None:
    """A message of the application's own, for one."""
    line.open()
    line.connection.sendMessage(b"before")
    assert not line.connection.write(FRAME)
    line.flush()
    assert line.connection.write(FRAME)
    assert line.read() == b"\x81\x06before" + FRAME


def test_not_past_what_autobahn_has_queued(line: Line) -> None:
    """It sends a message in pieces where it is asked to."""
    line.open()
    line.connection.send_queue.append((b"piece", True))
    assert not line.connection.write(FRAME)
    line.connection.send_queue.clear()
    assert line.connection.write(FRAME)


def test_not_after_the_connection_is_lost(line: Line) -> None:
    """Nor after it was dropped from this side."""
    line.open()
    line.connection.dropConnection(abort=True)
    assert not line.connection.write(FRAME)
    line.reactor.advance(1)
    assert not line.connection.write(FRAME)
    assert line.connection not in line.server.connections


def test_a_client_that_does_not_read_is_bounded(line: Line) -> None:
    """The kernel takes so much that is not on its way, and then no more; a window or two of 64 KiB are on their way."""
    line.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    line.open()
    taken = line.fill() * len(FRAME)
    assert taken < UNSENT_LIMIT + 2 * 65_536  # without the limit it is megabytes
    assert line.transport._tempDataLen < len(FRAME)  # nothing is kept for it but the rest of a frame
    got = b""
    while len(got) < taken:
        got += line.read()
        line.flush()
    assert got == FRAME * (taken // len(FRAME))
    assert line.connection.write(FRAME)  # it reads again, and is served again


def test_what_the_socket_did_not_take_goes_first(line: Line) -> None:
    """The rest of a frame that was taken in part goes through the transport; until then the client misses frames."""
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
    """The write says False, raises nothing, and the application hears of it in the reactor's next turn."""
    line.open()
    line.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.client.close()
    line.connection.write(FRAME)
    assert not line.connection.write(FRAME)
    assert line.connection in line.server.connections  # nothing has changed under whoever writes
    line.reactor.advance(1)
    assert line.connection not in line.server.connections
    assert not len(line.server.heartbeat)


def test_it_is_not_offered_over_tls(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written straight to the socket would go out in clear."""
    assert line.connection.is_direct
    monkeypatch.setattr(tcp.Server, "TLS", True)
    other = Line()
    assert not other.connection.is_direct
    other.close()


# --- Pings ---


def pong(payload: bytes) -> bytes:
    """Return a pong as a client sends it; a mask of zeros leaves the payload as it is."""
    return bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def test_who_answers_goes_on(line: Line) -> None:
    """The ping goes straight out, as a frame does."""
    line.open()
    line.connection.ping(PING)
    assert line.read() == b"\x89\x04" + PING
    line.connection.dataReceived(pong(PING))
    line.connection.pause_if_silent()
    line.connection.end_if_silent()
    assert line.connection.write(FRAME)


def test_who_owes_a_pong_is_paused_until_it_comes(line: Line) -> None:
    """Another pong, or one that nobody asked for, is not it."""
    line.open()
    line.connection.ping(PING)
    assert line.connection.write(FRAME)
    line.connection.pause_if_silent()
    assert not line.connection.write(FRAME)
    line.connection.dataReceived(pong(b"else"))
    assert not line.connection.write(FRAME)
    line.connection.dataReceived(pong(PING))
    assert line.connection.write(FRAME)


def test_who_never_answers_is_cut_off(line: Line) -> None:
    """Without a close frame, which it would not read."""
    line.open()
    line.read()
    line.connection.ping(PING)
    line.connection.end_if_silent()
    line.reactor.advance(1)
    assert line.transport.disconnected
    assert line.connection not in line.server.connections


def test_a_ping_waits_its_turn(line: Line) -> None:
    """Where something is queued it goes behind that, and not into the middle."""
    line.open()
    line.connection.sendMessage(b"before")
    line.connection.ping(PING)
    assert line.read() == b""
    line.flush()
    assert line.read() == b"\x81\x06before" + b"\x89\x04" + PING


def test_who_is_closing_is_not_pinged(line: Line) -> None:
    """And owes nothing."""
    line.open()
    line.connection.sendClose(4012)
    line.connection.ping(PING)
    line.connection.end_if_silent()
    line.flush()
    assert line.read() == b"\x88\x02\x0f\xac"


def test_daphnes_own_pings_are_off(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go by the wall clock, which can be set."""
    line.server.websocket_timeout = -1
    line.server.ping_interval = 6
    line.open()
    line.read()
    monkeypatch.setattr("time.time", lambda: 1e12)
    line.connection.check_timeouts()
    line.flush()
    assert line.read() == b""


@pytest.mark.parametrize(("timeout", "closed"), [(-1, False), (100, False), (0, True)])
def test_a_limit_on_how_long_a_client_may_stay(line: Line, timeout: float, *, closed: bool) -> None:
    """Daphne's option, off unless it is given, and by the monotonic clock."""
    line.server.websocket_timeout = timeout
    line.open()
    line.connection.check_timeouts()
    assert (line.connection.state != line.connection.STATE_OPEN) is closed


def test_an_application_that_does_not_make_up_its_mind(line: Line) -> None:
    """The handshake is refused when Daphne's limit for it has passed."""
    line.server.websocket_connect_timeout = 0
    line.connection.dataReceived(HANDSHAKE)
    line.connection.check_timeouts()
    line.flush()
    assert line.read().startswith(b"HTTP/1.1 403 ")


# --- What a client may not send ---

REFUSED = b"\x88\x20\x0f\xa8clients must not send messages"
TOO_MANY = b"\x88\x19\x0f\xa8too many control frames"


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x80mask",
        b"\x82",  # its first byte will do
        b"\x01",  # a fragment, which need never be finished
        b"\x00\x80mask",  # the rest of a message that never began
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",  # more than there is memory
        b"\xf1\x80mask",  # reserved bits
        b"\x83\x80mask",  # an unknown opcode
        pong(PING) + b"\x81\x80mask" * 1_000,
    ],
)
def test_a_message_is_refused_by_its_first_byte(line: Line, data: bytes) -> None:
    """Nothing more is read, and the application has not heard of it; after a moment the client is cut off."""
    line.open()
    line.connection.dataReceived(data)
    line.flush()
    assert line.read() == REFUSED
    assert not line.connection.data
    assert line.transport not in line.reactor.readers
    line.connection.dataReceived(data * 100)
    assert not line.connection.data
    assert not line.connection.write(FRAME)
    line.reactor.advance(CLOSE_TIMEOUT - 0.01)
    assert line.connection in line.server.connections
    line.reactor.advance(0.02)
    line.reactor.advance(0)
    assert line.connection not in line.server.connections


def test_messages_are_taken_where_an_option_says_so() -> None:
    """Up to its size, as Daphne takes them."""
    line = Line(max_message_size=5)
    line.open()
    line.connection.application_queue = Mock()
    line.connection.dataReceived(b"\x81\x85\0\0\0\0hello")
    line.connection.application_queue.put_nowait.assert_called_with({"type": "websocket.receive", "text": "hello"})
    line.connection.dataReceived(b"\x81\x86\0\0\0\0hello!")
    assert line.connection.state != line.connection.STATE_OPEN
    line.close()


def test_a_flood_of_pings() -> None:
    """So many are answered, and then the client is closed; what comes behind is not looked at."""
    line = Line(max_control_frames=5)
    line.open()
    line.connection.dataReceived(b"\x89\x80mask" * 20_000)
    line.flush()
    assert line.read() == b"\x8a\x00" * 5 + TOO_MANY
    line.close()


def test_pongs_count_too() -> None:
    """Nobody asked for so many. An answer to each ping of the heartbeat is far below the limit."""
    line = Line(max_control_frames=5)
    line.open()
    line.connection.dataReceived(pong(b"") * 6)
    line.flush()
    assert line.read() == TOO_MANY
    line.close()


def test_any_number_of_pings_where_there_is_no_limit() -> None:
    """0 turns it off."""
    line = Line(max_control_frames=0)
    line.open()
    line.connection.dataReceived(b"\x89\x80mask" * 1_000)
    while line.transport.dataBuffer or line.transport._tempDataBuffer:
        line.flush()
    assert line.read() == b"\x8a\x00" * 1_000
    line.close()


@pytest.mark.parametrize("more", [HANDSHAKE, b"\x81\x80mask"])
def test_who_does_not_wait_for_the_answer(line: Line, more: bytes) -> None:
    """What comes before it is kept until then, is no other handshake, and is refused as a message is."""
    line.connection.dataReceived(HANDSHAKE)
    line.connection.dataReceived(more)
    assert line.transport not in line.reactor.readers
    line.server.create_application.assert_called_once()
    line.connection.serverAccept()
    line.flush()
    answer = line.read()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n" + REFUSED)
    line.reactor.advance(CLOSE_TIMEOUT)
    assert line.connection.state == line.connection.STATE_CLOSED


@pytest.mark.parametrize("after", [0.0, 0.5, 0.99])
def test_a_client_has_time_to_read_a_close(line: Line, after: float) -> None:
    """All of it, whatever part of a second it is: Autobahn's own timer ends with the second."""
    line.reactor.advance(after)
    line.open()
    line.connection.sendClose(4012)
    line.reactor.advance(CLOSE_TIMEOUT - 0.01)
    assert not line.transport.disconnected
    line.reactor.advance(0.02)
    line.reactor.advance(0)
    assert line.transport.disconnected
