"""The metrics, as Prometheus reads them."""

import re
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from clock.contract import Tick
from clock.endpoints.metrics import metrics
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.viewers import connect, watch
from tests.conftest import Client
from tests.tournament.server.test_metrics_port import scrape
from tournament.up.broker import free_port

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Return each sample's value by its name and the values of its labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def ask(status: ServerStatus | None = None) -> Samples:
    """Return what is told."""
    return samples(metrics(status or ServerStatus()).decode())


async def test_before_the_first_tick(relay: Relay) -> None:
    """What is not known is not there."""
    told = ask()
    assert told["clock_ready",] == 0
    assert told["clock_ticks_taken_total",] == 0
    assert ("clock_last_tick_age_seconds",) not in told
    assert ("clock_term",) not in told
    assert told["clock_draining",] == 0


async def test_the_ticks(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken, dropped and why, and what the last one said."""
    now = 100.0
    for clocked in (relay, relay.tick_filter):
        monkeypatch.setattr(clocked, "_now", lambda: now)
    relay._take_messages([Tick(at, "x", 7, 3, synchronised=False).message() for at in (1000, 1010, 1010, 1000)])
    relay._take_messages(["what?", {}, None])
    now += 0.25
    told = ask()
    assert told["clock_ready",] == 1
    assert told["clock_ticks_taken_total",] == 2
    assert told["clock_ticks_dropped_total", "not above the last"] == 2
    assert told["clock_ticks_dropped_total", "not a tick"] == 3
    assert told["clock_last_tick_age_seconds",] == 0.25
    assert told["clock_last_tick_timestamp_seconds",] == 1.01
    assert (told["clock_term",], told["clock_step",], told["clock_synchronised",]) == (7, 3, 0)
    assert told["clock_relay_state", "flowing"] == 1
    assert told["clock_relay_state", "away"] == 0


async def test_the_members(relay: Relay) -> None:
    """By their rate, and what became of their frames."""

    def refuse(_frame: bytes) -> int:
        raise BlockingIOError

    def fail(_frame: bytes) -> int:
        raise ConnectionResetError

    writes = [None, refuse, fail, lambda _frame: 1]
    for write in writes:
        relay.fan_out.join(client := Client(), 100)
        if write is not None:
            client.write_by(write)
    relay.fan_out.join(Client(), 1)
    for at in (1000, 1010):
        relay.fan_out.send(Tick(at, "x"))
    told = ask()
    assert [told["clock_members", rate] for rate in ("100", "50", "1")] == [4, 0, 1]
    assert told["clock_rounds_total",] == 2
    assert told["clock_frames_due_total",] == 9
    assert told["clock_frames_refused_total",] == 2
    assert told["clock_frames_cut_total",] == 2
    assert told["clock_frames_failed_total",] == 2


async def test_the_server(relay: Relay) -> None:
    """What a client may send as a close code has no say in how many series there are."""
    status = ServerStatus()
    status.draining = True
    status.opened, status.timed_out = 9, 1
    for code in (1006, 4012, 4012, 3000, 3001, 4999):
        status.count_close(code)
    told = ask(status)
    assert told["clock_draining",] == 1
    assert told["clock_ready",] == 0
    assert told["clock_websockets_opened_total",] == 9
    assert told["clock_heartbeat_cut_off_total",] == 1
    closed = {name[1]: count for name, count in told.items() if name[0] == "clock_websockets_closed_total"}
    assert {code: count for code, count in closed.items() if count} == {"1006": 1, "4012": 2, "other": 3}


async def test_the_names_are_by_the_conventions(relay: Relay) -> None:
    """Base units, `_total` for what only rises, and nothing without a prefix."""
    relay.tick_filter.take(Tick(0, "x"))
    for name, *_ in ask(ServerStatus()):
        assert re.fullmatch(r"(clock|process)_[a-z_]+", name)
        assert not re.search(r"_(ms|milliseconds|minutes|count)(_|$)", name)


def test_a_real_worker(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Viewers come, go in three ways, and are counted; and the figures of the process are there."""
    port = free_port()
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="60", CLOCK_METRICS_PORT=str(port)) as worker:
        worker.wait_for_ticks()

        def told() -> Samples:
            status, headers, text = scrape(port)
            assert status == 200
            assert headers["content-type"].startswith("text/plain; version=")
            return samples(text)

        viewers = [connect(worker.port, path) for path in ("/ws/clock/", "/ws/clock/?rate=10", "/ws/clock/?rate=3")]
        watch(viewers[:2], 0.5)
        now = told()
        assert now["clock_ready",] == 1
        assert (now["clock_members", "100"], now["clock_members", "10"]) == (1, 1)
        assert now["clock_ticks_taken_total",] >= now["clock_rounds_total",] > 30
        assert now["clock_frames_due_total",] >= len(viewers[0].times) > 30
        assert now["clock_last_tick_age_seconds",] < 1
        assert now["clock_websockets_opened_total",] == 3
        assert now["process_resident_memory_bytes",] > 1e6
        viewers[0].socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # normal closure
        viewers[1].socket.close()  # without a word
        wait_until(
            lambda: sum(value for key, value in told().items() if "closed_total" in key[0]) == 3, "all closed", 5
        )
        now = told()
        assert [now["clock_websockets_closed_total", code] for code in ("1000", "1006", "4008")] == [1, 1, 1]
        worker.signal(signal.SIGTERM)
        wait_until(lambda: told()["clock_draining",] == 1, "it drains", 2)
        assert worker.get("/metrics")[0] == 404
        for viewer in viewers:
            viewer.socket.close()
