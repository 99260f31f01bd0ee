"""The load generator counts what its clients receive, and accepts nothing but what a correct server sends."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.load import generator
from bench.load.generator import LoadError, LoadGenerator
from tests.bench.load.scripted_server import (
    ScriptedServer,
    handshake_answer,
    masked,
    newest_tick,
    tick,
    unmasked,
)


def accept(client: socket.socket) -> None:
    """Answer a handshake correctly."""
    client.sendall(handshake_answer(client.recv(4096)))


def test_it_counts_frames_duplicates_steps_back_and_gaps() -> None:
    """One client receives six new ticks, one duplicate, one step back by 50 ms, and nothing for 150 ms."""

    def script(client: socket.socket, window_open: threading.Event) -> None:
        accept(client)
        client.sendall(tick(newest_tick()))
        window_open.wait(5)
        time.sleep(0.1)
        for pause_s in (0.02, 0.02, 0.02, 0.02, 0.15):
            client.sendall(tick(newest_tick()))
            time.sleep(pause_s)
        at = newest_tick()
        client.sendall(tick(at) + tick(at)[:20])  # the duplicate arrives in two parts
        time.sleep(0.02)
        client.sendall(tick(at)[20:] + tick(at - 50))

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        result = load.connect(1, "/")
        assert (result.connected, result.failures) == (1, {})
        assert load.begin_window() == 1
        server.window_open.set()
        server.wait()
        window = load.end_window()
        one = window.classes["viewers"]
        assert (one.clients, one.frames, one.worst_ticks) == (1, 8, 6)
        assert (one.duplicates, one.steps_back, window.failures) == (1, 1, {})
        assert 100 < one.largest_gap_ms < 1000
        p50_ms, p99_ms = one.lateness.percentile_ms(50), one.lateness.percentile_ms(99)
        assert p50_ms is not None
        assert p99_ms is not None
        assert 0 <= p50_ms <= p99_ms
        assert p99_ms >= 50  # the step back
        assert sum(one.lateness.values()) == sum(window.lags.values()) == 8
        assert 0 <= window.cpu_share < 1
        assert load.close() == 1


def test_a_window_with_a_duration_counts_exactly_its_ticks() -> None:
    """However long it lasts: ticks of a later time do not count, and the next window adds to the total."""

    def script(client: socket.socket, window_open: threading.Event) -> None:
        accept(client)
        client.sendall(tick(newest_tick()))
        window_open.wait(5)
        first = newest_tick() + 20  # the window begins with the next tick
        for number in range(20):
            client.sendall(tick(first + 10 * number))

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        assert load.connect(1, "/").connected == 1
        load.begin_window(0.1)
        server.window_open.set()
        server.wait()
        window = load.end_window()
        assert window.to_ms - window.from_ms == window.total_ms == 100
        assert window.classes["viewers"].frames == 20
        assert 8 <= window.classes["viewers"].worst_ticks <= 10
        assert window.classes["viewers"].total_worst_rate == pytest.approx(100)
        load.begin_window(0.1)
        again = load.end_window()
        assert again.total_ms == 200
        first, both = (one.classes["viewers"].total_worst_rate for one in (window, again))
        assert both == pytest.approx(first / 2, abs=0.001)


def test_viewers_are_reported_by_class() -> None:
    """Each class has its own clients, here of two servers' worth of commands."""

    def script(client: socket.socket, window_open: threading.Event) -> None:
        accept(client)
        client.sendall(tick(newest_tick()))
        window_open.wait(5)
        client.sendall(tick(newest_tick() + 50))

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        assert load.connect(1, "/", name="before").connected == 1
        load.begin_window()
        server.window_open.set()
        server.wait()
        assert load.connect(1, "/missing", name="arriving").connected == 0
        window = load.end_window()
    assert {name: one.clients for name, one in window.classes.items()} == {"before": 1, "arriving": 0}
    assert window.classes["before"].frames == 1


def test_a_lenient_client_ignores_other_texts() -> None:
    """Centrifugo sends some."""

    def script(client: socket.socket, _window_open: threading.Event) -> None:
        accept(client)
        client.sendall(b"\x81\x02{}" + tick(newest_tick()))

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        assert load.connect(1, "/", lenient=True).connected == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda request: tick(10) + handshake_answer(request), id="a frame before the 101"),
        pytest.param(lambda request: handshake_answer(request).replace(b"Accept: ", b"Accept: x"), id="a wrong key"),
        pytest.param(lambda _: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", id="no 101"),
        pytest.param(lambda request: handshake_answer(request) + masked(tick(10)), id="a masked frame"),
        pytest.param(lambda _: b"", id="no answer"),
    ],
)
def test_a_client_with_a_wrong_handshake_is_not_connected(answer: Callable[[bytes], bytes]) -> None:
    """It is counted once, with a reason."""

    def script(client: socket.socket, _window_open: threading.Event) -> None:
        client.sendall(answer(client.recv(4096)))
        client.shutdown(socket.SHUT_WR)

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        result = load.connect(1, "/")
        assert result.connected == 0
        assert list(result.failures.values()) == [1]
        assert load.begin_window() == 0
        assert load.end_window().clients == 0


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(b"\x88\x02\x0f\xa8", "closed by the server: 4008", id="close"),
        pytest.param(tick(10, first_byte=0x82), "a frame that is not text, ping or close", id="binary"),
        pytest.param(b"\x81\x02{}", "a text that is not a tick", id="no tick"),
        pytest.param(b"", "the connection was closed", id="disconnect"),
    ],
)
def test_an_unexpected_frame_is_a_failure_and_ends_the_client(frame: bytes, reason: str) -> None:
    """The failure counts in the window in which it happens; the next window does not have the client."""

    def script(client: socket.socket, window_open: threading.Event) -> None:
        accept(client)
        client.sendall(tick(newest_tick()))
        window_open.wait(5)
        client.sendall(frame)
        if not frame:
            client.shutdown(socket.SHUT_WR)

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        assert load.connect(1, "/").connected == 1
        assert load.begin_window() == 1
        server.window_open.set()
        server.wait()
        assert load.end_window().failures == {reason: 1}
        assert load.begin_window() == 0


def test_it_answers_a_ping_with_a_masked_pong_of_the_same_payload() -> None:
    """RFC 6455, sections 5.3 and 5.5.3."""
    answers: list[bytes] = []

    def script(client: socket.socket, _window_open: threading.Event) -> None:
        accept(client)
        client.sendall(b"\x89\x03abc" + tick(newest_tick()))
        answers.append(client.recv(4096))

    server = ScriptedServer(script)
    with LoadGenerator(server.port) as load, server:
        assert load.connect(1, "/").connected == 1
        server.wait()
        (pong,) = answers
        assert pong[:2] == b"\x8a\x83"
        assert unmasked(pong[6:], pong[2:6]) == b"abc"


def test_a_wrong_command_is_an_error() -> None:
    """A window that was not opened cannot be closed."""
    with LoadGenerator(1) as load, pytest.raises(LoadError, match="not possible now: end"):
        load.end_window()


def test_without_a_compiler_the_error_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It first tries to install them."""
    asked: list[list[str]] = []
    monkeypatch.setattr(generator, "CACHE", tmp_path)
    monkeypatch.setattr(generator, "install", asked.append)
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    with pytest.raises(LoadError, match=r"needs a C compiler.*apt-get install gcc libc6-dev"):
        generator.compiled()
    assert asked == [["gcc", "libc6-dev"]]
