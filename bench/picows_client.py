"""One client of the load generator on picows, and the window that it counts its frames in."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from clock.contract import TICK_MS


def wall_ms() -> float:
    """Return the wall clock: milliseconds since the Unix epoch, as a frame's `at`."""
    return time.time_ns() / 1e6


def read_at(payload: bytes) -> int | None:
    """Return the `at` of a frame's text; None where there is none."""
    _, found, rest = payload.partition(b'"at":')
    digits = rest.strip(b" }")
    return int(digits) if found and digits.isdigit() else None


class Window:
    """A window: what it counts beside what each client does."""

    def __init__(self) -> None:
        self.begun = wall_ms()
        self.begins = next_tick(self.begun)
        self.ended = 0.0
        self.ends = sys.maxsize
        self.late: list[float] = []
        self.duplicates = self.steps_back = 0


def next_tick(now_ms: float) -> int:
    """Return the time of the first tick that is not due yet."""
    return (int(now_ms) // TICK_MS + 1) * TICK_MS


@dataclass(slots=True)
class Tally:
    """What all clients share: the open window, and the failures of those that were in, unless we hang up ourselves."""

    window: Window | None = None
    failures: Counter[str] = field(default_factory=Counter)
    closing: bool = False


class Client(WSListener):
    """One stream."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self.begun = wall_ms()
        self.shaken = 0.0
        self.first: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.failure = ""
        self.transport: WSTransport | None = None
        self.last_at = 0
        self.counted = False
        self.got = 0
        self.last_came = self.largest_gap = 0.0

    @property
    def streaming(self) -> bool:
        """Whether it has the 101 and nothing has failed since."""
        return self.shaken > 0 and not self.failure

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Note the time of the complete 101."""
        self.transport = transport
        self.shaken = wall_ms()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take in a frame. Pings are answered by picows."""
        came = wall_ms()
        if frame.msg_type is WSMsgType.TEXT and frame.fin:
            at = read_at(frame.get_payload_as_bytes())
            if at is None:
                self.fail("a text that is not a tick")
            else:
                self._take_tick(at, came)
        elif frame.msg_type is WSMsgType.CLOSE:
            code = frame.get_payload_as_bytes()[:2]
            self.fail(
                f"closed by the server: {int.from_bytes(code)}" if code else "closed by the server, without a code"
            )
        elif frame.msg_type is not WSMsgType.PING:
            self.fail("a frame that is neither text, ping nor close")
        if self.failure:
            transport.disconnect(graceful=False)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """Note that the connection has ended, whoever ended it."""
        self.fail("the connection was closed")

    def fail(self, reason: str) -> None:
        """Note why this client is one no more; the first reason counts."""
        if self.failure:
            return
        self.failure = reason
        if not self.first.done():
            self.first.cancel()
        elif not self._tally.closing:
            self._tally.failures[reason] += 1

    def _take_tick(self, at: int, came: float) -> None:
        window, last = self._tally.window, self.last_at
        self.last_at = at
        if not self.first.done():
            self.first.set_result(came)
        if window is None or not self.counted:
            return
        if window.begins <= at < window.ends and at > last:
            self.got += 1
        if not window.ended:
            self.largest_gap = max(self.largest_gap, came - self.last_came)
            self.last_came = came
            window.late.append(came - at)
            window.duplicates += at == last
            window.steps_back += at < last
