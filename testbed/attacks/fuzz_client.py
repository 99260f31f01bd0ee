"""A client that sends one input of the fuzz test, and how its connection ends."""

import contextlib
import re
import socket
from collections.abc import Callable
from typing import Final

from testbed.attacks.fuzz_input import Input

# What is guaranteed, and what a busy machine may add.
CLOSED_AFTER_S: Final = 1.0
ALLOWANCE_S: Final = 0.5

# A client without an answer for so long sends nothing more: its request may be incomplete.
INCOMPLETE_AFTER_S: Final = 0.3

# A valid handshake is answered within so many seconds, on a machine that is busy with all the others.
ANSWER_TIMEOUT_S: Final = 10

STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-4]\d\d) ")  # a 500 would be an error in the worker
REFUSED: Final = re.compile(rb"\x88.\x0f\xa8[a-z]", re.DOTALL)  # a close frame with code 4008 and a reason


class Client:
    """One client, its input, and how it ended. `now` is the time without what the worker waited for a processor."""

    def __init__(self, number: int, port: int, now: Callable[[], float]) -> None:
        self.number = number
        self.input = Input.of(number)
        self.failure = ""
        self._now = now
        self.answer = b""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.is_streaming = self.is_over = False
        self._host = f"127.0.0.1:{port}".encode()
        self._has_sent_all = False
        self.since = self._now()
        self._send(self.input.opening.replace(b"%(host)s", self._host))

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError, BlockingIOError):
            self.socket.send(data)
        self.since = self._now()

    def _shut_down(self) -> None:
        self._has_sent_all = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.since = self._now()

    def read(self) -> None:
        """Read what has arrived."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self.answer += data
        if not data:
            self.is_over = True
            if self.input.is_refused and not REFUSED.search(self.answer):
                self.failure = "it did not get the reason"
        elif not self.is_streaming and b"\r\n\r\n" in self.answer:
            self._read_answer()

    def _read_answer(self) -> None:
        status = STATUS.match(self.answer)
        if status is None:
            self.is_over, self.failure = True, "the answer is not HTTP, or reports a failure of the worker"
        elif status[1] != b"101" or self.input.frames is None:
            self.is_over = True
        else:
            self.is_streaming = True
            self._send(self.input.frames)
            if not self.input.is_refused:
                self._shut_down()

    def check_time(self) -> None:
        """Fail, if the worker takes too long."""
        waited_s = 0 if self.is_over else self._now() - self.since
        if not (self.is_streaming or self._has_sent_all):
            # A complete handshake must be answered.
            if waited_s > INCOMPLETE_AFTER_S and not self.input.is_refused:
                self._shut_down()
            elif waited_s > ANSWER_TIMEOUT_S:
                self.is_over, self.failure = True, "its handshake is not answered"
        elif waited_s > CLOSED_AFTER_S + ALLOWANCE_S:
            self.is_over, self.failure = True, "the worker does not close it"

    def report(self) -> str:
        """Return a description of its failure."""
        return f"input {self.number} ({self.input.kind}): {self.failure}; answered {self.answer[:80]!r}"
