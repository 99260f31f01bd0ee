"""The limits of an HTTP connection: Twisted's own parser, and the reactor's clock in the test's hands."""

from http import HTTPStatus

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.http import Request

from tournament.server.adapter.http_channel import REFUSAL_TIMEOUT_S, HttpChannel
from tournament.server.adapter.request_guard import guarded
from tournament.server.http_limits import HttpLimits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Transport(StringTransport):
    """A transport that keeps what is written, and how it was ended."""

    aborted = half_closed = False

    def loseWriteConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Send no more."""
        self.half_closed = True

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Cut off."""
        self.aborted = True

    @property
    def ended(self) -> bool:
        """Whether the worker has said its last."""
        return self.half_closed or bool(self.disconnecting)


class Line:
    """A connection with its transport, and the requests that came through."""

    def __init__(
        self, *, request_timeout: float | None = 10, idle_timeout: float | None = 30, max_header_size: int = 1_000
    ) -> None:
        self.clock = Clock()
        self.requests: list[Request] = []
        keep = self.requests.append

        class Kept(Request):
            """A request that is kept instead of answered."""

            def process(self) -> None:
                """Keep it."""
                keep(self)

        self.connection = HttpChannel(HttpLimits(request_timeout, idle_timeout, max_header_size))
        self.connection.requestFactory = Kept
        vars(self.connection)["callLater"] = self.clock.callLater  # as Twisted's factory sets it
        self.transport = Transport()
        self.connection.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Have the client send something."""
        self.connection.dataReceived(data)

    def trickle(self, data: bytes, seconds: float) -> None:
        """Have the client send one byte after the other, for so long or until the worker has had enough."""
        for place in range(round(seconds)):
            if not self.transport.ended:
                self.clock.advance(1)
                self.send(data[place : place + 1])

    @property
    def status(self) -> int | None:
        """The status of the last answer."""
        answer = self.transport.value()
        return int(answer.rpartition(b"HTTP/1.1 ")[2][:3]) if answer else None


def test_a_request_comes_through() -> None:
    """In one piece or byte by byte, if that does not take too long."""
    line = Line()
    for place in range(len(GET)):
        line.send(GET[place : place + 1])
    line.send(b"\r\n")
    assert len(line.requests) == 1
    line.clock.advance(1_000)
    assert not line.transport.ended  # however long the answer takes


def test_bytes_that_trickle_do_not_hold_up_the_deadline() -> None:
    """One a second: after ten it is told, and a moment later it is cut off."""
    line = Line()
    line.trickle(GET + b"X: " + b"x" * 100, 100)
    assert line.clock.seconds() == 10
    assert line.status == HTTPStatus.REQUEST_TIMEOUT
    assert not line.transport.aborted
    line.clock.advance(REFUSAL_TIMEOUT_S)
    assert line.transport.aborted


def test_who_never_says_anything_is_not_told_anything() -> None:
    """A browser that opened a connection in case it needs one would take it for an answer."""
    line = Line()
    line.clock.advance(9.9)
    assert not line.transport.ended
    line.clock.advance(0.1)
    assert line.transport.ended
    assert line.transport.value() == b""


def test_between_two_requests_there_is_more_time() -> None:
    """Until the idle timeout; a byte of the next request begins its deadline."""
    line = Line()
    for _ in range(3):
        line.send(GET + b"\r\n")
        line.requests[-1].finish()
        line.clock.advance(28)
        assert not line.transport.ended
    line.trickle(GET + b"X: " + b"x" * 100, 100)
    assert line.status == HTTPStatus.REQUEST_TIMEOUT
    assert line.clock.seconds() == 3 * 28 + 1 + 10


def test_who_is_idle_is_let_go() -> None:
    """Without a word."""
    line = Line()
    line.send(GET + b"\r\n")
    line.requests[0].finish()
    answer = line.transport.value()
    line.clock.advance(30)
    assert line.transport.ended
    assert line.transport.value() == answer


def test_half_a_request_behind_another_has_its_deadline() -> None:
    """It came while the first was answered."""
    line = Line()
    line.send(GET + b"\r\n" + GET)
    line.clock.advance(100)
    line.requests[0].finish()
    line.clock.advance(10)
    assert line.status == HTTPStatus.REQUEST_TIMEOUT


def test_no_limits() -> None:
    """Each can be turned off."""
    line = Line(request_timeout=None, idle_timeout=None)
    line.clock.advance(1e6)
    line.send(GET)
    line.clock.advance(1e6)
    line.send(b"\r\n")
    line.requests[0].finish()
    line.clock.advance(1e6)
    assert not line.transport.ended


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"X: " + b"x" * 2_000, 431),  # before the line is through
        (b"X: " + b"x" * 990 + b"\r\n", 431),
        (b"X: 12345678\r\n" * 100, 431),
        (b"X:\r\n" * 600, 431),
        (b"x" * 101 + b": 1\r\n\r\n", 431),
        (b"x" * 100 + b": 1\r\n\r\n", None),
        (b"Content-Length: 1\r\n\r\n", 413),
        (b"Content-Length: 1\r\n\r\nx" + GET, 413),
        (b"Content-Length: 1000000000000\r\nExpect: 100-continue\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 413),
        (b"Content-Length: 0\r\n\r\n", None),
        (b"Content-Length: x\r\n\r\n", 400),
        (b"no colon\r\n\r\n", 400),
        (b"Host: a\r\n\r\n", 400),
    ],
)
def test_what_is_refused(more: bytes, status: int | None) -> None:
    """Too much of headers, a body, or what is no HTTP. It ends there, and what comes after it is nothing."""
    line = Line()
    line.send(GET + more)
    assert line.status == status
    assert len(line.requests) == (status is None)
    assert line.transport.ended == (status is not None)
    if status is not None:
        line.send(GET + b"\r\n")
        assert not line.requests
        assert line.transport.value().count(b"HTTP/1.1 ") == 1
        line.clock.advance(REFUSAL_TIMEOUT_S)
        assert line.transport.aborted


@pytest.mark.parametrize("digits", [101, 5_000])
def test_a_length_that_no_number_has(digits: int) -> None:
    """Is too large, and no error: Python reads numbers of up to 4,300 digits."""
    line = Line(max_header_size=16_384)
    line.send(GET + b"Content-Length: " + b"9" * digits + b"\r\n\r\n")
    assert line.status == 413


@pytest.mark.parametrize("value", [b"/board", b"\xe4", b""])
@pytest.mark.parametrize("name", [b"Daphne-Root-Path", b"daphne-root-path", b"DAPHNE-ROOT-PATH"])
def test_a_client_has_no_say_in_the_root_path(name: bytes, value: bytes) -> None:
    """The header is dropped, and nothing else."""
    line = Line()
    line.send(GET + name + b": " + value + b"\r\nX: 1\r\n\r\n")
    guarded(lambda _request: None)(line.requests[0])
    assert {found.lower() for found, _ in line.requests[0].requestHeaders.getAllRawHeaders()} == {b"host", b"x"}


@pytest.mark.parametrize(
    ("target", "uri", "host"),
    [
        (b"/", b"/", b"a"),
        (b"//b/c", b"//b/c", b"a"),
        (b"/http://b/c", b"/http://b/c", b"a"),
        (b"http://a/clock/?x=1", b"/clock/?x=1", b"a"),
        (b"HTTP://b:81/clock/", b"/clock/", b"b:81"),  # the target's counts: RFC 9112, section 3.2.2
        (b"https://[::1]/", b"/", b"[::1]"),
        (b"http://b", b"/", b"b"),
        (b"http://b?x", b"/?x", b"b"),
        (b"http://b//c", b"//c", b"b"),
    ],
)
def test_an_absolute_target_is_the_same_as_the_usual_one(target: bytes, uri: bytes, host: bytes) -> None:
    """Its path is asked for, and its host is the Host."""
    line = Line()
    line.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    (request,) = line.requests
    assert request.uri == uri
    assert request.requestHeaders.getRawHeaders(b"host") == [host]


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS * HTTP/1.1\r\nHost: a",
        b"GET * HTTP/1.1\r\nHost: a",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a",
        b"GET clock/ HTTP/1.1\r\nHost: a",
        b"GET ?x HTTP/1.1\r\nHost: a",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a",
        b"GET http:///clock/ HTTP/1.1\r\nHost: a",
        b"GET http://user@a/ HTTP/1.1\r\nHost: a",
        b"GET http:/clock/ HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: a",
        b"GET http://a/ HTTP/1.1",  # an absolute target does not stand for the header
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b",
    ],
)
def test_a_target_for_proxies_and_a_host_too_few_or_too_many(head: bytes) -> None:
    """400, and it ends there."""
    line = Line()
    line.send(head + b"\r\n\r\n" + GET + b"\r\n")
    assert line.status == HTTPStatus.BAD_REQUEST
    assert line.transport.ended
    assert not line.requests
    line.clock.advance(REFUSAL_TIMEOUT_S)
    assert line.transport.aborted


def test_before_http_1_1_there_may_be_no_host() -> None:
    """It came with HTTP/1.1."""
    line = Line()
    line.send(b"GET / HTTP/1.0\r\n\r\n")
    assert len(line.requests) == 1


def test_what_comes_behind_a_handshake_is_the_websockets() -> None:
    """It came with the same read, and would be kept here for ever."""
    line = Line()
    got: list[bytes] = []

    class Successor:
        """What takes the connection over."""

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
            """Keep the data."""
            got.append(data)

    line.connection.successor = Successor()
    line.send(GET + b"\r\n" + b"\x81\x80mask")
    assert got == [b"\x81\x80mask"]
