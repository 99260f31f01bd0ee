"""A connection that ends early: it gets as far as its stage, and ends there in its own way."""

import contextlib
import select
import socket
import ssl
import struct
import time
from enum import Enum, auto
from typing import Final

from testbed.attacks.stages import End, Plan
from testbed.viewers import PING, PONG

# An answer may take so many seconds, and a client that has ended keeps its socket for at most so many.
ANSWER_TIMEOUT_S: Final = 10.0
LINGER_TIMEOUT_S: Final = 3.0

# A busy machine may exceed a timeout of the worker by so many seconds, as its heartbeat counts intervals.
ALLOWANCE_S: Final = 5.0

# The events that show that the other side has closed or reset a connection that only waits for its end.
OVER: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class State(Enum):
    """How far a connection is."""

    OPENING = auto()
    STAYING = auto()  # at its stage, before its end
    SILENT = auto()  # until the worker ends it
    ENDED = auto()  # for client and worker, but the socket is still open
    CLOSED = auto()


class Connection:
    """One client. It connects at once; `on_event` and `check_time` take it further."""

    def __init__(self, plan: Plan, port: int, epoll: select.epoll, context: ssl.SSLContext | None = None) -> None:
        self.plan = plan
        self.failure = ""
        self.state = State.OPENING
        self.since = time.monotonic()  # of its state
        self._epoll = epoll
        self._answer = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S)
        try:
            if plan.stage.encrypted:
                assert context is not None
                self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
            self.socket.setblocking(False)
            epoll.register(self.socket, select.EPOLLIN)
            self.socket.send(plan.opening(port))
        except BaseException:
            self.socket.close()
            raise
        if plan.stage.is_reached(b""):
            self.end()

    @property
    def is_live(self) -> bool:
        """Whether the worker has a reason to keep it."""
        return self.state in {State.OPENING, State.STAYING, State.SILENT}

    def on_event(self) -> None:
        """Continue: data has arrived, or the connection is over."""
        if self.state == State.SILENT:
            self._enter(State.ENDED)  # and still send nothing
            self._epoll.modify(self.socket, select.EPOLLHUP | select.EPOLLERR)
            return
        if self.state == State.ENDED and self.plan.end == End.SILENCE:
            self.close()
            return
        try:
            while data := self.socket.recv(1 << 16):
                self._receive(data)
                # TLS may hold more decrypted data, which the kernel does not report.
                if self.state in {State.SILENT, State.CLOSED} or not self.plan.stage.encrypted:
                    return
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            reason = repr(error)
        else:
            reason = "closed"
        if self.state == State.ENDED:
            self.close()
        else:
            self._fail(f"ended by the worker: {reason}")

    def _receive(self, data: bytes) -> None:
        if self.state == State.OPENING:
            self._answer += data
            if self.plan.stage.is_reached(self._answer):
                if b"Upgrade" in self.plan.stage.opening and not self._answer.startswith(b"HTTP/1.1 101 "):
                    self._fail("refused")
                elif self.plan.stay_s:
                    self._enter(State.STAYING)
                    self._answer_pings(b"")  # one may have arrived before the first frame
                else:
                    self.end()
        elif self.state == State.STAYING:
            self._answer_pings(data)

    def _answer_pings(self, data: bytes) -> None:
        # Texts are ASCII, so this byte starts a ping; a ping's payload is four bytes.
        self._answer = (self._answer + data)[-1 << 12 :]
        while (start := self._answer.find(PING)) >= 0 and len(self._answer) >= start + 6:
            with contextlib.suppress(OSError):
                self.socket.send(bytes((PONG, 0x84, 0, 0, 0, 0)) + self._answer[start + 2 : start + 6])
            self._answer = self._answer[start + 6 :]
        if start < 0:
            self._answer = b""

    def end(self) -> None:
        """End it, in its own way."""
        with contextlib.suppress(OSError):
            if self.plan.stage.last:
                self.socket.send(self.plan.stage.last)
        if self.plan.end == End.RST:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()
        elif self.plan.end == End.FIN:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self._enter(State.ENDED)
        else:
            self._enter(State.SILENT)
            self._epoll.modify(self.socket, OVER)

    def check_time(self, now: float) -> None:
        """End it after its stay, and fail what takes too long."""
        waited_s = now - self.since
        if self.state == State.STAYING and waited_s >= self.plan.stay_s:
            self.end()
        elif self.state == State.OPENING and waited_s > ANSWER_TIMEOUT_S:
            self._fail("not answered")
        elif self.state == State.SILENT and waited_s > self.plan.stage.timeout_s + ALLOWANCE_S:
            self._fail(f"kept for {waited_s:.1f} s, though it is silent")
        elif self.state == State.ENDED and waited_s > LINGER_TIMEOUT_S:
            if self.plan.end == End.FIN:
                self._fail(f"still open {waited_s:.1f} s after its FIN")
            else:
                self.close()

    def close(self) -> None:
        """Close the socket."""
        if self.state != State.CLOSED:
            self._enter(State.CLOSED)
            self.socket.close()

    def _fail(self, failure: str) -> None:
        self.failure = f"{self.plan.stage.name}, {self.plan.end}, {self.plan.path}: {failure}"
        self.close()

    def _enter(self, state: State) -> None:
        self.state, self.since = state, time.monotonic()
