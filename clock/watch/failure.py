"""The failure: why there is no stream, in words, and the exit code that says so."""

import socket
import ssl
from enum import Enum
from http import HTTPStatus
from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, CLOSE_GOING_AWAY

# The exit codes beside those of failures. 2 is that of an invalid command line.
EXIT_GOOD: Final = 0
EXIT_LIMIT: Final = 1


class Kind(Enum):
    """The kinds of failure, and the exit code of each."""

    NAME = "name", 10
    REFUSED = "refused", 11
    UNREACHABLE = "unreachable", 12
    TIMEOUT = "timeout", 13
    CERTIFICATE = "certificate", 14
    TLS = "tls", 15
    FORBIDDEN = "forbidden", 16
    STATUS = "status", 17
    NOT_A_CLOCK = "not_a_clock", 18
    BROKEN_CONTRACT = "broken_contract", 19
    FULL = "full", 20
    GOING_AWAY = "going_away", 21
    CLOSED = "closed", 22
    SILENT = "silent", 23

    def __init__(self, label: str, exit_code: int) -> None:
        self.label = label
        self.exit_code = exit_code


class Failure(Exception):
    """There is no stream. The text says why, and what to do."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


_BY_CLOSE_CODE: Final = {
    CLOSE_BROKEN_CONTRACT: Kind.BROKEN_CONTRACT,
    CLOSE_FULL: Kind.FULL,
    CLOSE_GOING_AWAY: Kind.GOING_AWAY,
}

# The close code of a connection that ended without one (RFC 6455, section 7.4.1).
NO_CLOSE_CODE: Final = 1006


def close_code(error: ConnectionClosed) -> int:
    """Return the code with which the other side closed a connection."""
    return error.rcvd.code if error.rcvd is not None else NO_CLOSE_CODE


def failure_from(error: Exception, address: str) -> Failure | None:
    """Return what an error of a connection to `address` means; None if it is not an error of a connection."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ConnectionClosed):
        return _from_close(error)
    if isinstance(error, InvalidStatus):
        return _from_status(error.response.status_code)
    if isinstance(error, WebSocketException):
        what = "does not answer as a WebSocket" if isinstance(error, InvalidHandshake) else "breaks the protocol"
        return Failure(Kind.NOT_A_CLOCK, f"{address} {what}: {error}")
    return _from_system(error, address) if isinstance(error, OSError) else None


def _from_close(error: ConnectionClosed) -> Failure:
    code = close_code(error)
    if error.rcvd is None:
        return Failure(Kind.CLOSED, "the connection ended without a close code: the worker or a proxy cut it off")
    text = f"closed with {code}"
    # It is shown on a terminal, so it must not contain escape sequences.
    reason = "".join(character if character.isprintable() else "?" for character in error.rcvd.reason)
    return Failure(_BY_CLOSE_CODE.get(code, Kind.CLOSED), f"{text}: {reason}" if reason else text)


def _from_status(status: int) -> Failure:
    if status == HTTPStatus.FORBIDDEN:
        return Failure(
            Kind.FORBIDDEN,
            "the handshake was refused with 403: the Origin, the Host or the path is not allowed; see --origin, "
            "DJANGO_ALLOWED_HOSTS and CLOCK_ALLOWED_ORIGINS",
        )
    return Failure(Kind.STATUS, f"the handshake was answered with status {status} instead of 101")


def _from_system(error: OSError, address: str) -> Failure:
    text = str(error)
    if isinstance(error, socket.gaierror):
        return Failure(Kind.NAME, f"the name in {address} cannot be resolved: {error.strerror}")
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "verify_message", text)
        return Failure(
            Kind.CERTIFICATE,
            f"the TLS certificate of {address} is invalid: {reason}; --ca-file names a private authority",
        )
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or text
        return Failure(Kind.TLS, f"{address} does not speak TLS as expected: {reason}")
    if isinstance(error, TimeoutError):
        return Failure(Kind.TIMEOUT, f"{address} did not answer in time")
    # For a name with several addresses asyncio raises one error, which has no type of its own, but all texts.
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in text or "refused" in text.lower():
        return Failure(Kind.REFUSED, f"{address} refused the connection: nothing listens there")
    return Failure(Kind.UNREACHABLE, f"{address} cannot be reached: {error.strerror or text or type(error).__name__}")
