"""The metrics port of a real ticker: what it answers, and that nobody there disturbs the ticks."""

import asyncio
import contextlib
import itertools
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from clock import __version__
from testbed.processes import Broker, Ticker, free_port, wait_until
from testbed.subscriber import CHANNEL, Subscriber
from ticker import metrics_port as module
from ticker.metrics import TickerMetrics
from ticker.metrics_port import EARLIEST_NS, LATEST_NS, MAX_CONNECTIONS, MetricsPort
from ticker.metronome import TICK_NS

NAMESPACE = "observed"


@pytest.fixture(scope="module")
def port() -> int:
    """The metrics port of the ticker below."""
    return free_port()


@pytest.fixture(scope="module")
def leader(broker: Broker, directory: Path, port: int) -> Iterator[Ticker]:
    """A leader with metrics."""
    settings = {"CLOCK_NAMESPACE": NAMESPACE, "CLOCK_TICKER_METRICS_ADDRESS": "127.0.0.1"}
    with Ticker(broker.url, directory, CLOCK_TICKER_METRICS_PORT=str(port), **settings) as ticker:
        ticker.wait_until_leader()
        yield ticker
        assert ticker.stop() == 0
        assert "Traceback" not in ticker.output()


def ask(port: int, data: bytes) -> bytes:
    """Send bytes on a new connection, and return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client.recv(65_536):
                answer += chunk
        return answer


def scrape(port: int) -> str:
    """Return the metrics."""
    return ask(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").decode()


def test_the_metrics_of_a_leader(leader: Ticker, port: int) -> None:
    """It publishes 100 ticks per second, and knows its offset to the clock of Redis, which is on the same machine."""
    wait_until(lambda: "clock_ticker_redis_margin_seconds " in scrape(port), "the clocks are compared")
    text = scrape(port)
    assert text.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert f'version="{__version__}"}} 1.0' in text
    assert 'clock_ticker_state{state="leader"} 1.0' in text
    samples = dict(re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE))
    assert float(samples["clock_ticker_takeovers_total"]) == 1
    assert float(samples["clock_ticker_ticks_published_total"]) > 0
    assert abs(float(samples["clock_ticker_redis_offset_seconds"])) < 0.05
    assert float(samples["process_resident_memory_bytes"]) > 1e6
    assert ask(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"\r\n\r\nleader\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics?debug HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\n\r\n" * 100, 200),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /clock/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /%6detrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET http://a/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
def test_what_is_answered(leader: Ticker, port: int, data: bytes, status: int) -> None:
    """One answer, then the connection is closed."""
    answer = ask(port, data)
    assert re.match(rb"HTTP/1\.1 %d " % status, answer), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert (b"clock_ticker_state" in answer) == (status == HTTPStatus.OK and not data.startswith(b"HEAD"))


def test_clients_of_the_port_do_not_disturb_the_ticks(
    leader: Ticker, port: int, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that trickle or say nothing, and a crowd that connects. Ticks arrive, and health checks are answered."""
    subscriber = Subscriber(broker.port, CHANNEL.replace("clock", NAMESPACE, 1))
    with ExitStack() as open_:
        for number in range(MAX_CONNECTIONS):
            client = open_.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            client.sendall(b"GET /metrics HTTP/1.1\r\n" if number % 2 else b"")
        start = time.monotonic()
        assert b" 200 " in ask(port, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert time.monotonic() - start < 1, "a health check does not wait for slow clients"
        times: list[int] = []
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                crowd = open_.enter_context(socket.socket())
                crowd.setblocking(False)
                crowd.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):  # its place may be taken
                client.sendall(b"x")
            times += [tick.at for tick in subscriber.read()]
    subscriber.close()
    assert len(times) > 50
    assert max(after - before for before, after in itertools.pairwise(times)) < 500
    wait_until(lambda: b" 200 " in ask(port, b"GET /healthz HTTP/1.0\r\n\r\n"), "it answers again", 10)


def test_without_redis_a_ticker_is_alive(directory: Path, port: int) -> None:
    """Nothing would be better if it were restarted. A port in use, which is a reason to stop, ends another ticker.

    Its log is JSON, because it does not go to a terminal. The first line and the last have the settings, without the
    password.
    """
    own = str(free_port())
    url = "redis://:sesame@127.0.0.1:1"
    with Ticker(url, directory, CLOCK_TICKER_METRICS_PORT=own) as ticker:
        ticker.wait_for_output("Redis is unavailable")
        assert ask(int(own), b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nunavailable\n")
        with Ticker(url, directory, CLOCK_TICKER_METRICS_PORT=own, CLOCK_LOG_FORMAT="auto") as second:
            assert second.wait() == 1
    lines = [json.loads(line) for line in second.output().splitlines()]
    settings = {
        "REDIS_URL": "redis://…@127.0.0.1:1",
        "CLOCK_TICKER_METRICS_PORT": own,
    }
    first, last = lines[0], lines[-1]
    assert first["message"] == f"clock {__version__}: ticker starting"
    reason = f"CLOCK_TICKER_METRICS_PORT={own} is unavailable on 0.0.0.0: "
    assert last["message"].startswith(f"clock {__version__}: ticker ended: {reason}")
    assert (first["level"], last["level"]) == ("INFO", "CRITICAL")
    assert first["settings"] == last["settings"] == settings
    assert first["version"] == last["version"] == __version__
    assert "Traceback" not in second.output()


# --- In this process ---


def respond(head: bytes, **metrics: Any) -> tuple[int, bytes]:
    """Return the status and body with which a port answers."""
    port = MetricsPort("127.0.0.1", 0, Mock(spec=TickerMetrics, **metrics))
    port._listener.close()
    answer = port._respond(head)
    return int(answer.status), answer.body


def test_a_stalled_ticker_is_not_alive() -> None:
    """The body says why."""
    stalled = Mock(return_value="no tick published for 6 s")
    assert respond(b"GET /healthz HTTP/1.1\r\n\r\n", stall=stalled) == (503, b"no tick published for 6 s\n")


def test_an_error_affects_one_request(caplog: pytest.LogCaptureFixture) -> None:
    """It gets 500, and the log has the traceback."""
    assert respond(b"GET /metrics HTTP/1.1\r\n\r\n", render=Mock(side_effect=OverflowError)) == (500, b"")
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("since_tick_ns", [0, EARLIEST_NS - 1, EARLIEST_NS, LATEST_NS, LATEST_NS + 1, TICK_NS - 1])
async def test_an_answer_is_begun_right_after_a_tick(since_tick_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never in the 2 ms before a tick, nor while one is published."""
    now_ns = 7 * TICK_NS + since_tick_ns

    async def sleep(seconds: float) -> None:
        nonlocal now_ns
        now_ns += round(seconds * 1e9) + 800_000  # as late as an event loop

    port = MetricsPort("127.0.0.1", 0, Mock(), wall_ns=lambda: now_ns)
    port._listener.close()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        await port._wait_for_time_to_spare()
    assert EARLIEST_NS <= now_ns % TICK_NS <= LATEST_NS
    assert now_ns < 9 * TICK_NS


async def test_a_clock_that_does_not_advance_does_not_prevent_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is when a health check has to say so."""
    port = MetricsPort("127.0.0.1", 0, Mock(), wall_ns=lambda: LATEST_NS + 1)
    port._listener.close()
    async with asyncio.timeout(5):
        await port._wait_for_time_to_spare()


async def test_without_descriptors_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not try again all the time, and answers later."""
    monkeypatch.setattr(module, "REFUSED_PAUSE_S", 0.01)
    metrics = Mock(spec=TickerMetrics, stall=Mock(return_value=None), state=Mock(return_value="x"))
    port = MetricsPort("127.0.0.1", 0, metrics)
    number = port._listener.getsockname()[1]
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [OSError(24, "too many open files")] * 2

    async def accept_later(listener: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", accept_later)
    running = asyncio.create_task(port.run())
    answer = await asyncio.to_thread(ask, number, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nx\n")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert port._listener.fileno() == -1
