"""The probe: asks `/clock/now` for the time, again and again, over a connection of its own.

It runs in threads, because http.client blocks, and reads the clock there, so that what the event loop does meanwhile
does not widen the round trip.
"""

import asyncio
import contextlib
import http.client
import json
import math
import random
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from clock.page_version import HEADER
from clock.watch.target import Target
from clock.watch.timeline import Answer

# A burst, then less and less often.
FIRST_PAUSE_S: Final = 0.03
GROWTH: Final = 1.4
LONGEST_PAUSE_S: Final = 2.0

# The pause after a probe without an answer.
RETRY_PAUSE_S: Final = 1.5

# A slower answer is useless: the time may be off by half of it.
TIMEOUT_S: Final = 3.0

_MAX_ANSWER_BYTES: Final = 4_096

T = TypeVar("T")


class NoAnswer(Exception):
    """There is no usable answer. The text says why."""


def monotonic_ms() -> float:
    """Return the time of this machine's monotonic clock, in milliseconds."""
    return time.monotonic() * 1_000


class Probe:
    """Asks one clock for the time. It blocks, and is not for several threads at once."""

    def __init__(self, target: Target, tls: ssl.SSLContext | None) -> None:
        self._path = target.now_path
        self._is_closed = False
        self._connection = (
            http.client.HTTPSConnection(target.host, target.port, timeout=TIMEOUT_S, context=tls)
            if target.is_secure
            else http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
        )

    def close(self) -> None:
        """Close the connection; during `ask`, as soon as that returns."""
        self._is_closed = True
        self._connection.close()

    def ask(self) -> Answer:
        """Return the answer.

        Raises:
            NoAnswer: there is none, or not the time.
        """
        try:
            return self._ask()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        finally:
            if self._is_closed:
                self._connection.close()

    def _ask(self) -> Answer:
        if self._connection.sock is None:
            self._connection.connect()  # before the clock is read, as it takes round trips of its own
        sent = monotonic_ms()
        self._connection.request("GET", self._path)
        response = self._connection.getresponse()
        received = monotonic_ms()
        body = response.read(_MAX_ANSWER_BYTES)
        if response.status != HTTPStatus.OK:
            if not response.isclosed():
                self._connection.close()
            raise NoAnswer(f"{self._path} answered with status {response.status}")
        return _parse_answer(body, sent, received, response.getheader(HEADER) or "")


def _parse_answer(body: bytes, sent: float, received: float, version: str) -> Answer:
    try:
        fields: Any = json.loads(body)
        at, bound, synchronised = fields["at"], fields["bound"], fields["synchronised"]
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswer("the answer is not that of a clock") from error
    if not _is_number(at) or not (bound is None or (_is_number(bound) and bound >= 0)):
        raise NoAnswer("the answer is not that of a clock")
    return Answer(sent, received, at, bound, synchronised if isinstance(synchronised, bool) else None, version[:64])


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value)


class Prober:
    """Sends probes for as long as it runs. `on_failure` is called with a failure that differs from the last one."""

    def __init__(
        self,
        ask: Callable[[], Answer],
        on_answer: Callable[[Answer], None],
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.failed = 0
        self.last_error = ""
        self._ask = ask
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._count = 0  # since the burst began
        self._burst = asyncio.Event()

    def burst(self) -> None:
        """Begin another burst at once: what is known of the offset may be wrong."""
        self._count = 0
        self._burst.set()

    async def run(self) -> None:
        """Probe forever."""
        while True:
            self._burst.clear()
            try:
                self._on_answer(await in_thread(self._ask))
                pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * GROWTH**self._count)
                self._count += 1
            except NoAnswer as error:
                self.failed += 1
                if str(error) != self.last_error:
                    self._on_failure(str(error))
                self.last_error = str(error)
                pause_s = RETRY_PAUSE_S
            try:
                async with asyncio.timeout(pause_s * random.uniform(0.75, 1.25)):  # noqa: S311 - not a secret
                    await self._burst.wait()
            except TimeoutError:
                continue


async def in_thread(function: Callable[[], T]) -> T:
    """Return the result of a function that blocks. A program can end before the function does, other than in a pool."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: Exception | None) -> None:
        if result.done():  # cancelled
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failed = None, None
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
            failed = error
        with contextlib.suppress(RuntimeError):  # the program ends, and the loop is closed
            loop.call_soon_threadsafe(finish, value, failed)

    threading.Thread(target=run, daemon=True).start()
    return await result
