"""The metrics port: Prometheus and health checks ask this ticker on a port of its own.

Nothing here may delay a tick. A thread would: Python runs one thread at a time, and one that prepares an answer keeps
the ticker waiting for up to 5 ms, at any moment. So it all happens in the ticker's event loop, where the moment can be
chosen. An answer takes about a millisecond, and is begun only in the first part of the 10 ms between two ticks. For the
rest, whatever clients do, connections are accepted and read only so often that it takes a few percent of a core at
most, and each step takes far less than the 2 ms that the metronome keeps in hand.
"""

import asyncio
import logging
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST

from ticker.metrics import TickerMetrics
from ticker.metronome import TICK_NS

logger = logging.getLogger(__name__)

# Connections at a time. Prometheus and a health check need one each, for some 20 ms. A further one takes the place of
# the oldest: if clients that say nothing could make a health check wait, they could have the ticker restarted.
MAX_CONNECTIONS: Final = 8
BACKLOG: Final = 16

# Seconds for one connection, from its request to its end, and of these, for the client to close its side.
TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 1.0

# Bytes of a request's line and headers, and bytes that are read at once.
MAX_HEAD_BYTES: Final = 8_192
READ_BYTES: Final = 4_096

# Seconds between two connections, and between two reads from one that trickles.
PAUSE_S: Final = 0.02

# Seconds without accepting, after the system refused: it is out of descriptors.
REFUSED_PAUSE_S: Final = 1.0

# An answer is prepared from so many nanoseconds after a tick is due, when it has been published, up to so many. Else it
# waits for the next tick. If the wall clock does not advance, it does not wait for ever.
EARLIEST_NS: Final = 1_000_000
LATEST_NS: Final = 4_000_000
MAX_WAITS: Final = 5

# The paths that are answered.
METRICS: Final = b"/metrics"
HEALTH: Final = b"/healthz"

# The first line of a request: its method and its path.
_REQUEST: Final = re.compile(rb"([A-Z]+) ([^ ?\r\n]+)[^ \r\n]* HTTP/1\.[01]\r?\n")


class Answer(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class MetricsPort:
    """Answers `/metrics` and `/healthz`.

    Raises:
        OSError: the address or port is unavailable.
    """

    def __init__(
        self, address: str, port: int, metrics: TickerMetrics, *, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._metrics = metrics
        self._wall_ns = wall_ns

    async def run(self) -> None:
        """Answer until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._accept(tasks)
        except asyncio.CancelledError:
            self._listener.close()
            raise

    async def _accept(self, tasks: asyncio.TaskGroup) -> None:
        serving: list[asyncio.Task[None]] = []
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(REFUSED_PAUSE_S)
                continue
            serving = [task for task in serving if not task.done()]
            if len(serving) == MAX_CONNECTIONS:
                serving.pop(0).cancel()
            serving.append(tasks.create_task(self._serve(connection)))
            await asyncio.sleep(PAUSE_S)

    async def _serve(self, connection: socket.socket) -> None:
        """Serve one connection: one request, then it is closed."""
        loop = asyncio.get_running_loop()
        with connection, suppress(OSError):  # this includes the TimeoutError
            async with asyncio.timeout(TIMEOUT_S):
                head = await _receive_head(connection)
                if not head:
                    return
                await self._wait_for_time_to_spare()
                answer = self._respond(head)
                await loop.sock_sendall(connection, _to_bytes(answer, has_body=not head.startswith(b"HEAD ")))
                connection.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await _drain(connection)

    async def _wait_for_time_to_spare(self) -> None:
        """Wait until a tick has just been published. The caller must not wait for anything else afterwards."""
        for _ in range(MAX_WAITS):
            since_tick_ns = self._wall_ns() % TICK_NS
            if EARLIEST_NS <= since_tick_ns <= LATEST_NS:
                return
            await asyncio.sleep((EARLIEST_NS - since_tick_ns) % TICK_NS / 1e9)

    def _respond(self, head: bytes) -> Answer:
        """Return the answer to a request."""
        request = _REQUEST.match(head)
        refusal = _refusal(request, head)
        if request is None or refusal is not None:
            return Answer(refusal or HTTPStatus.BAD_REQUEST)
        try:
            return self._health() if request[2] == HEALTH else self._all_metrics()
        except Exception:
            logger.exception("the metrics could not be collected")
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _all_metrics(self) -> Answer:
        return Answer(HTTPStatus.OK, self._metrics.render(), CONTENT_TYPE_LATEST)

    def _health(self) -> Answer:
        stall = self._metrics.stall()
        status = HTTPStatus.SERVICE_UNAVAILABLE if stall else HTTPStatus.OK
        return Answer(status, f"{stall or self._metrics.state()}\n".encode())


def _refusal(request: re.Match[bytes] | None, head: bytes) -> HTTPStatus | None:
    """Return the status that refuses a request, or None to answer it."""
    if len(head) > MAX_HEAD_BYTES:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if request is None:
        return HTTPStatus.BAD_REQUEST
    if request[2] not in {METRICS, HEALTH}:
        return HTTPStatus.NOT_FOUND
    return None if request[1] in {b"GET", b"HEAD"} else HTTPStatus.METHOD_NOT_ALLOWED


async def _receive_head(connection: socket.socket) -> bytes:
    """Return a request's line and headers, or more than `MAX_HEAD_BYTES` of them; nothing if the client closes."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) <= MAX_HEAD_BYTES:
        if head:
            await asyncio.sleep(PAUSE_S)
        received = await asyncio.get_running_loop().sock_recv(connection, READ_BYTES)
        if not received:
            return b""
        head += received
    return head


async def _drain(connection: socket.socket) -> None:
    """Read until the client closes. If the connection were closed with bytes unread, it would lose the answer."""
    received = b"some"
    while received:
        received = await asyncio.get_running_loop().sock_recv(connection, READ_BYTES)
        await asyncio.sleep(PAUSE_S)


def _to_bytes(answer: Answer, *, has_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join((*lines, "", "")).encode() + (answer.body if has_body else b"")
