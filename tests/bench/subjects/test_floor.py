"""The floor sends every tick to every client, and does nothing else."""

import time
from pathlib import Path

from bench.load.generator import LoadGenerator
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.floor import NOT_FOUND, accept_key, answer, period_of
from bench.subjects.subject import Environment
from testbed.processes import Broker, Ticker


def test_the_accept_key_is_that_of_the_rfc() -> None:
    """RFC 6455, section 1.3, has this example."""
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_only_a_handshake_gets_101() -> None:
    """Any other request gets 404."""
    assert answer(b"GET / HTTP/1.1\r\nsec-websocket-key: x\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    assert answer(b"GET /clock/now HTTP/1.1\r\nHost: x\r\n\r\n") == NOT_FOUND


def test_its_clients_receive_the_ticks(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """All of them, without a failure; requests for a page are answered with 404."""
    ticker.wait_for_output("publishing the time")
    deployment = SUBJECTS["floor"].deploy(Environment(broker, directory, None))
    (program,) = deployment.measured
    with program, LoadGenerator(deployment.port) as load:
        result = load.connect(5, "/", name="all", parallel=2, now_calls=3)
        assert (result.connected, result.failures, result.non_200_answers) == (5, {}, 15)
        assert load.connect(10, "/?rate=10", name="tenth").connected == 10
        load.begin_window()
        time.sleep(1)
        window = load.end_window()
    assert (window.clients, window.failures) == (15, {})
    assert [(one.duplicates, one.steps_back) for one in window.classes.values()] == [(0, 0)] * 2
    assert window.classes["all"].worst_ticks > 20
    assert 2 < window.classes["tenth"].worst_ticks <= 11


def test_a_client_gets_every_tick_unless_it_requests_fewer() -> None:
    """The period is in ticks."""
    assert period_of(b"GET / HTTP/1.1\r\n") == 1
    assert period_of(b"GET /?rate=10 HTTP/1.1\r\n") == 10
    assert period_of(b"GET /?phase=any&rate=50&x=1 HTTP/1.1\r\n") == 2
