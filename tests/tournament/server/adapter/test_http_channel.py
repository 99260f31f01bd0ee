"""The limits of an HTTP connection, with Twisted's own parser, in virtual time."""

from http import HTTPStatus

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.http import Request

from clock.asgi import Response
from tournament.server.adapter.http_channel import (
    MAX_REPEATED,
    MAX_REPEATED_BYTES,
    REFUSAL_TIMEOUT_S,
    HttpChannel,
    Repetitions,
    to_bytes,
)
from tournament.server.adapter.request_guard import guarded
from tournament.server.http_limits import HttpLimits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Transport(StringTransport):
    """A transport that keeps what is written, and how it was closed."""

    aborted = half_closed = False

    def loseWriteConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Send no more."""
        self.half_closed = True

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Disconnect."""
        self.aborted = True

    @property
    def ended(self) -> bool:
        """Whether the worker sends nothing more."""
        return self.half_closed or bool(self.disconnecting)


class Line:
    """A connection with its transport, and the requests that were accepted."""

    def __init__(
        self,
        *,
        request_timeout: float | None = 10,
        idle_timeout: float | None = 30,
        max_header_size: int = 1_000,
        repetitions: Repetitions | None = None,
    ) -> None:
        self.clock = Clock()
        self.requests: list[Request] = []
        keep = self.requests.append

        class Kept(Request):
            """A request that is kept and not answered."""

            def process(self) -> None:
                """Keep it."""
                keep(self)

        self.connection = HttpChannel(
            HttpLimits(request_timeout, idle_timeout, max_header_size), repetitions or Repetitions()
        )
        self.connection.requestFactory = Kept
        vars(self.connection)["callLater"] = self.clock.callLater  # as Twisted's factory sets it
        self.transport = Transport()
        self.connection.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Receive data from the client."""
        self.connection.dataReceived(data)

    def trickle(self, data: bytes, seconds: float) -> None:
        """Receive a byte a second, for so many seconds or until the worker ends the connection."""
        for place in range(round(seconds)):
            if not self.transport.ended:
                self.clock.advance(1)
                self.send(data[place : place + 1])

    @property
    def status(self) -> int | None:
        """The status of the last answer."""
        answer = self.transport.value()
        return int(answer.rpartition(b"HTTP/1.1 ")[2][:3]) if answer else None


def test_a_request_is_accepted_byte_by_byte() -> None:
    """If it is complete before the deadline. The answer may take any time."""
    line = Line()
    for place in range(len(GET)):
        line.send(GET[place : place + 1])
    line.send(b"\r\n")
    assert len(line.requests) == 1
    line.clock.advance(1_000)
    assert not line.transport.ended  # however long the answer takes


def test_single_bytes_do_not_move_the_deadline() -> None:
    """A client that sends a byte a second gets 408 after 10 s, and is disconnected a moment later."""
    line = Line()
    line.trickle(GET + b"X: " + b"x" * 100, 100)
    assert line.clock.seconds() == 10
    assert line.status == HTTPStatus.REQUEST_TIMEOUT
    assert not line.transport.aborted
    line.clock.advance(REFUSAL_TIMEOUT_S)
    assert line.transport.aborted


def test_a_connection_without_a_request_is_closed_without_an_answer() -> None:
    """A browser that opens a connection in advance would take it for the answer to its next request."""
    line = Line()
    line.clock.advance(9.9)
    assert not line.transport.ended
    line.clock.advance(0.1)
    assert line.transport.ended
    assert line.transport.value() == b""


def test_the_idle_timeout_holds_between_two_requests() -> None:
    """The first byte of the next request starts the deadline of that request."""
    line = Line()
    for _ in range(3):
        line.send(GET + b"\r\n")
        line.requests[-1].finish()
        line.clock.advance(28)
        assert not line.transport.ended
    line.trickle(GET + b"X: " + b"x" * 100, 100)
    assert line.status == HTTPStatus.REQUEST_TIMEOUT
    assert line.clock.seconds() == 3 * 28 + 1 + 10


def test_an_idle_connection_is_closed_without_an_answer() -> None:
    """After the idle timeout."""
    line = Line()
    line.send(GET + b"\r\n")
    line.requests[0].finish()
    answer = line.transport.value()
    line.clock.advance(30)
    assert line.transport.ended
    assert line.transport.value() == answer


def test_a_pipelined_request_has_its_own_deadline() -> None:
    """The deadline of a request that was received in part while another was answered starts after that answer."""
    line = Line()
    line.send(GET + b"\r\n" + GET)
    line.clock.advance(100)
    line.requests[0].finish()
    line.clock.advance(10)
    assert line.status == HTTPStatus.REQUEST_TIMEOUT


def test_both_timeouts_can_be_turned_off() -> None:
    """None stands for no limit."""
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
        (b"X: " + b"x" * 2_000, 431),  # before the line is complete
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
    """Too many or too long headers get 431, a body 413, and what is not HTTP 400. What follows is not read."""
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
def test_a_content_length_of_too_many_digits_gets_413(digits: int) -> None:
    """Python raises an error for numbers of more than 4,300 digits."""
    line = Line(max_header_size=16_384)
    line.send(GET + b"Content-Length: " + b"9" * digits + b"\r\n\r\n")
    assert line.status == 413


@pytest.mark.parametrize("value", [b"/board", b"\xe4", b""])
@pytest.mark.parametrize("name", [b"Daphne-Root-Path", b"daphne-root-path", b"DAPHNE-ROOT-PATH"])
def test_a_client_cannot_set_the_root_path(name: bytes, value: bytes) -> None:
    """The header Daphne-Root-Path is removed, and no other header."""
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
        (b"HTTP://b:81/clock/", b"/clock/", b"b:81"),  # the target's host counts: RFC 9112, section 3.2.2
        (b"https://[::1]/", b"/", b"[::1]"),
        (b"http://b", b"/", b"b"),
        (b"http://b?x", b"/?x", b"b"),
        (b"http://b//c", b"//c", b"b"),
    ],
)
def test_an_absolute_target_is_reduced_to_its_path(target: bytes, uri: bytes, host: bytes) -> None:
    """Its host replaces the Host header."""
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
        b"GET http://a/ HTTP/1.1",  # an absolute target does not replace the header
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b",
    ],
)
def test_a_target_for_proxies_or_a_wrong_number_of_hosts_gets_400(head: bytes) -> None:
    """The connection ends, and what follows is not read."""
    line = Line()
    line.send(head + b"\r\n\r\n" + GET + b"\r\n")
    assert line.status == HTTPStatus.BAD_REQUEST
    assert line.transport.ended
    assert not line.requests
    line.clock.advance(REFUSAL_TIMEOUT_S)
    assert line.transport.aborted


def test_http_1_0_needs_no_host() -> None:
    """The header was added in HTTP/1.1."""
    line = Line()
    line.send(b"GET / HTTP/1.0\r\n\r\n")
    assert len(line.requests) == 1


def test_data_behind_a_handshake_is_passed_to_the_websocket() -> None:
    """It is received in the same read, and the HTTP connection would keep it forever."""
    line = Line()
    got: list[bytes] = []

    class Successor:
        """A WebSocket that takes the connection over."""

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
            """Keep the data."""
            got.append(data)

    line.connection.successor = Successor()
    line.send(GET + b"\r\n" + b"\x81\x80mask")
    assert got == [b"\x81\x80mask"]


# --- Repeated requests ---


def answer_repetitions(line: Line, answer: bytes = b"again") -> None:
    """Answer the request in progress, and have its repetitions answered with these bytes."""
    line.connection.answer_repetitions(lambda: answer)
    line.requests[-1].write(b"first")
    line.requests[-1].finish()
    line.transport.clear()


def test_a_repeated_request_is_answered_at_once() -> None:
    """It does not reach the application. Between two of them the idle timeout holds."""
    line = Line()
    line.send(GET + b"\r\n")
    answer_repetitions(line)
    for count in range(1, 4):
        line.clock.advance(29)
        line.send(GET + b"\r\n")
        assert line.transport.value() == b"again" * count
    assert len(line.requests) == 1
    line.clock.advance(30)
    assert line.transport.ended


def test_whoever_repeats_a_request_is_answered() -> None:
    """Also on another connection, with its first request. Then that connection is kept, as after any answer."""
    repetitions = Repetitions()
    one, other = Line(repetitions=repetitions), Line(repetitions=repetitions)
    one.send(GET + b"\r\n")
    answer_repetitions(one)
    other.send(GET + b"\r\n")
    assert (other.transport.value(), other.requests) == (b"again", [])
    other.clock.advance(29)
    other.send(GET + b"X: y\r\n\r\n")
    assert len(other.requests) == 1
    other.requests[0].finish()
    other.clock.advance(29)
    assert not other.transport.ended
    other.clock.advance(1)
    assert other.transport.ended


def test_over_tls_only_what_came_over_tls_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application may redirect one to the other."""
    repetitions = Repetitions()
    plain = Line(repetitions=repetitions)
    plain.send(GET + b"\r\n")
    answer_repetitions(plain)
    monkeypatch.setattr(HttpChannel, "isSecure", lambda _channel: True)
    secure = Line(repetitions=repetitions)
    secure.send(GET + b"\r\n")
    assert len(secure.requests) == 1


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", GET + b"Connection: close\r\n\r\n"])
def test_a_connection_that_is_not_kept_is_not_kept_by_a_repetition(head: bytes) -> None:
    """The application answers each of these requests, and then the connection ends."""
    repetitions = Repetitions()
    for _ in range(2):
        line = Line(repetitions=repetitions)
        line.send(head)
        line.connection.answer_repetitions(lambda: b"again")
        line.requests[0].finish()
        assert line.transport.ended


@pytest.mark.parametrize("data", [GET + b"X: y\r\n\r\n", GET.lower() + b"\r\n", (GET + b"\r\n") * 2])
def test_another_request_goes_to_the_application(data: bytes) -> None:
    """Also one that differs by a byte, or is followed by another one. Repetitions are still answered after it."""
    line = Line()
    line.send(GET + b"\r\n")
    answer_repetitions(line)
    line.send(data)
    assert b"again" not in line.transport.value()
    while line.connection.requests:
        line.connection.requests[0].finish()
    line.transport.clear()
    if not line.transport.ended:
        line.send(GET + b"\r\n")
        assert line.transport.value() == b"again"


@pytest.mark.parametrize(
    "parts",
    [
        [GET, b"\r\n"],  # in two parts
        [(GET + b"\r\n") * 2],  # two requests at once
        [GET + b"X: " + b"x" * MAX_REPEATED_BYTES + b"\r\n\r\n"],
        [GET + b"\r\nG"],  # and the beginning of another one
    ],
)
def test_what_cannot_be_recognized_is_not_remembered(parts: list[bytes]) -> None:
    """The application answers each of them."""
    line = Line(max_header_size=10_000)
    for part in parts:
        line.send(part)
    line.connection.answer_repetitions(lambda: b"again")
    while line.connection.requests and line.requests:
        line.requests.pop(0).finish()
    for part in parts:
        line.send(part)
    assert b"again" not in line.transport.value()


def test_a_request_that_is_being_received_is_not_taken_for_a_repetition() -> None:
    """Its second part may have the bytes of a whole request."""
    line = Line()
    line.send(GET + b"\r\n")
    answer_repetitions(line)
    line.send(GET + b"X: y\r\n")
    line.send(GET + b"\r\n")
    assert b"again" not in line.transport.value()


def test_the_requests_that_are_remembered_are_limited() -> None:
    """The oldest makes way. One that is answered anew is the newest."""
    repetitions = Repetitions()
    requests = [GET + b"X: %d\r\n\r\n" % number for number in range(MAX_REPEATED + 1)]
    for request in [*requests[:-1], requests[0], requests[-1]]:
        repetitions.add(request, lambda: b"again", is_secure=False)
    known = [repetitions.find(request, is_secure=False) is not None for request in requests]
    assert known == [True, False] + [True] * (MAX_REPEATED - 1)


def test_ten_thousand_requests_do_not_slow_each_other_down() -> None:
    """A request on a kept connection starts a timer. Twisted would search all timers if the old one were moved."""
    line = Line()
    line.send(GET + b"\r\n")
    line.requests[0].finish()
    (idle,) = line.clock.getDelayedCalls()
    line.send(GET)
    (deadline,) = line.clock.getDelayedCalls()
    assert deadline is not idle


def test_a_response_as_it_is_sent() -> None:
    """With its reason phrase and all its headers."""
    response = Response(HTTPStatus.SERVICE_UNAVAILABLE, [(b"content-length", b"2"), (b"a", b"b")], b"{}")
    assert to_bytes(response) == b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\na: b\r\n\r\n{}"
