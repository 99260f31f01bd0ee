"""The probes: what counts as an answer, and when they are sent."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from clock.watch import probe as module
from clock.watch.probe import NoAnswer, Probe, Prober, in_thread, monotonic_ms
from clock.watch.target import parse_target
from clock.watch.timeline import Answer

ANSWER = {"message": "", "at": 1_795_351_680_123.456, "age": 3.4, "bound": 0.8, "synchronised": True}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test says."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    connections: ClassVar[int] = 0

    def setup(self) -> None:
        """Count a connection."""
        type(self).connections += 1
        super().setup()

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(self.status if self.path == "/clock/now" else 404)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("Clock-Version", "abc")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server."""
    Handler.status, Handler.body, Handler.connections = 200, json.dumps(ANSWER).encode(), 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_an_answer(port: int) -> None:
    """It has the times of the request and of the answer, and one connection is enough for many."""
    probe = Probe(parse_target(f"http://127.0.0.1:{port}"), None)
    before = monotonic_ms()
    first, second = probe.ask(), probe.ask()
    assert before <= first.sent <= first.received <= second.sent <= second.received <= monotonic_ms()
    assert first[2:] == (1_795_351_680_123.456, 0.8, True, "abc")
    assert Handler.connections == 1
    probe.close()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b"{}", "status 503"),
        (200, b"<html>", "not that of a clock"),
        (200, b"[1]", "not that of a clock"),
        (200, json.dumps({**ANSWER, "at": None}).encode(), "not that of a clock"),
        (200, json.dumps({**ANSWER, "bound": -1}).encode(), "not that of a clock"),
    ],
)
def test_other_answers(port: int, status: int, body: bytes, reason: str) -> None:
    """They are none, and the next one counts again."""
    probe = Probe(parse_target(f"http://127.0.0.1:{port}"), None)
    Handler.status, Handler.body = status, body
    with pytest.raises(NoAnswer, match=reason):
        probe.ask()
    Handler.status, Handler.body = 200, json.dumps({**ANSWER, "bound": None}).encode()
    assert probe.ask().bound is None
    probe.close()


def test_no_server(port: int) -> None:
    """The reason is that of the system."""
    probe = Probe(parse_target("http://127.0.0.1:1"), None)
    with pytest.raises(NoAnswer, match="refused"):
        probe.ask()


async def test_a_burst_and_then_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses grow; a failure is counted; another burst begins at once."""
    pauses: list[float] = []
    timeout = asyncio.timeout

    def no_wait(pause_s: float) -> asyncio.Timeout:
        pauses.append(pause_s)
        return timeout(0)

    monkeypatch.setattr("asyncio.timeout", no_wait)
    monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
    answers = iter([*[ANSWER] * 16, None, ANSWER])
    prober: Prober
    ended = asyncio.Event()

    def ask() -> Answer:
        answer = next(answers, ANSWER)
        if answer is None:
            raise NoAnswer("none")
        return Answer(0.0, 1.0, 2.0, None, synchronised=None)

    def on_answer(_answer: Answer) -> None:
        if len(pauses) == 17:
            prober.burst()
        if len(pauses) == 18:
            ended.set()

    prober = Prober(ask, on_answer)
    task = asyncio.create_task(prober.run())
    await asyncio.wait_for(ended.wait(), 5)
    task.cancel()
    assert pauses[:2] == [pytest.approx(0.03), pytest.approx(0.042)]
    assert pauses[14:17] == [2.0, 2.0, module.RETRY_PAUSE_S]
    assert pauses[17] == pytest.approx(0.03)
    assert (prober.failed, prober.last_error) == (1, "none")


async def test_a_thread_that_fails() -> None:
    """Its error is raised where the result is awaited."""

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(fail)
    assert await in_thread(lambda: 5) == 5
