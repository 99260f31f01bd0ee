"""What an error of a connection means. Those of real connections are in test_session.py."""

import errno
import socket
import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus, PayloadTooBig
from websockets.frames import Close
from websockets.http11 import Response

from clock.watch.failure import EXIT_GOOD, EXIT_LIMIT, Failure, Kind, failure_from


def closed(code: int, reason: str = "") -> ConnectionClosedError:
    """Return the error of a connection that the worker closed."""
    return ConnectionClosedError(Close(code, reason), None)


ERRORS = {
    Kind.NAME: socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    Kind.REFUSED: ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"),
    Kind.UNREACHABLE: OSError(errno.EHOSTUNREACH, "No route to host"),
    Kind.TIMEOUT: TimeoutError("timed out during opening handshake"),
    Kind.CERTIFICATE: ssl.SSLCertVerificationError(1, "certificate verify failed"),
    Kind.TLS: ssl.SSLError(1, "wrong version number"),
    Kind.FORBIDDEN: InvalidStatus(Response(403, "Forbidden", Headers())),
    Kind.STATUS: InvalidStatus(Response(503, "Service Unavailable", Headers())),
    Kind.NOT_A_CLOCK: InvalidMessage("did not receive a valid HTTP response"),
    Kind.BROKEN_CONTRACT: closed(4008, "rate must be one of"),
    Kind.FULL: closed(4013, "this worker is full"),
    Kind.GOING_AWAY: closed(4012),
    Kind.CLOSED: ConnectionClosedError(None, None),
    Kind.SILENT: Failure(Kind.SILENT, "no frame"),
}


@pytest.mark.parametrize(("kind", "error"), ERRORS.items(), ids=lambda value: getattr(value, "label", "error"))
def test_every_kind_has_an_error_and_a_message_of_its_own(kind: Kind, error: Exception) -> None:
    """None is missing, and no two messages are the same."""
    failure = failure_from(error, "a:80")
    assert failure is not None
    assert failure.kind is kind
    assert ERRORS.keys() == {*Kind}
    others = [str(failure_from(other, "a:80")) for other in ERRORS.values() if other is not error]
    assert str(failure) not in others


def test_exit_codes_are_distinct() -> None:
    """Also from those of success, of a limit, and of an invalid command line."""
    codes = [EXIT_GOOD, EXIT_LIMIT, 2, *(kind.exit_code for kind in Kind)]
    assert len({*codes}) == len(codes)


def test_several_addresses() -> None:
    """Asyncio raises one error with all texts, if all addresses of a name refuse the connection."""
    error = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed"
    )
    failure = failure_from(error, "localhost:1")
    assert failure is not None
    assert failure.kind is Kind.REFUSED


def test_a_message_that_is_too_large() -> None:
    """A clock sends no such thing."""
    failure = failure_from(PayloadTooBig(100_000, 65_536), "a:80")
    assert failure is not None
    assert failure.kind is Kind.NOT_A_CLOCK


def test_the_reason_of_the_worker_is_told() -> None:
    """After its close code."""
    assert str(failure_from(closed(4008, "rate must be"), "a")).endswith("with 4008: rate must be")
    assert str(failure_from(closed(4008, "\x1b[2J"), "a")).endswith("with 4008: ?[2J"), "no escape sequences"


def test_other_errors_are_none_of_a_connection() -> None:
    """They are faults of the program."""
    assert failure_from(ZeroDivisionError(), "a:80") is None
