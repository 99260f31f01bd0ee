"""The metrics, as Prometheus reads them."""

import re
import signal
from pathlib import Path

import pytest
from channels.testing import WebsocketCommunicator
from prometheus_client.parser import text_string_to_metric_families

from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from clock.broadcast.worker import current_worker
from clock.contract import AUTO, StreamRequest, Tick
from clock.endpoints.metrics import metrics
from testbed.processes import Broker, Ticker, Worker, wait_until
from testbed.viewers import connect, watch
from tests.conftest import FakeViewer, settle
from tests.tournament.server.test_metrics_port import scrape
from tournament.asgi import application
from tournament.up.broker import free_port

Samples = dict[tuple[str, ...], float]


def parse(text: str) -> Samples:
    """Return the value of each sample by its name and the values of its labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def read(status: ServerStatus | None = None) -> Samples:
    """Return the metrics of this process."""
    return parse(metrics(status or ServerStatus()).decode())


async def test_before_the_first_tick_unknown_values_are_absent(relay: Relay) -> None:
    """A missing sample is better than a zero."""
    samples = read()
    assert samples["clock_ready",] == 0
    assert samples["clock_ticks_taken_total",] == 0
    assert ("clock_last_tick_age_seconds",) not in samples
    assert ("clock_term",) not in samples
    assert samples["clock_draining",] == 0


async def test_metrics_of_the_ticks(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted and dropped ticks with the reasons, and the content of the last tick."""
    now = 100.0
    for owner in (relay, relay.tick_filter):
        monkeypatch.setattr(owner, "_now", lambda: now)
    relay._on_messages([Tick(at, "x", 7, 3, synchronised=False).message() for at in (1000, 1010, 1010, 1000)])
    relay._on_messages(["what?", {}, None])
    now += 0.25
    samples = read()
    assert samples["clock_ready",] == 1
    assert samples["clock_ticks_taken_total",] == 2
    dropped = {name[1]: count for name, count in samples.items() if name[0] == "clock_ticks_dropped_total"}
    assert dropped == {"not_newer": 2, "old": 0, "invalid": 3}
    assert samples["clock_last_tick_age_seconds",] == 0.25
    assert samples["clock_last_tick_timestamp_seconds",] == 1.01
    assert (samples["clock_term",], samples["clock_step",], samples["clock_synchronised",]) == (7, 3, 0)
    states = {name[1]: value for name, value in samples.items() if name[0] == "clock_relay_state"}
    assert states == {"waiting": 0, "flowing": 1, "silent": 0, "unavailable": 0}


async def test_metrics_of_the_viewers(relay: Relay) -> None:
    """Viewers by rate, and what happened to their frames. They add no time series: no label is of a client."""
    before = read().keys()

    def refuse(_frame: bytes) -> int:
        raise BlockingIOError

    def fail(_frame: bytes) -> int:
        raise ConnectionResetError

    writers = [None, refuse, fail, lambda _frame: 1]
    for write in writers:
        relay.fan_out.join(viewer := FakeViewer())
        if write is not None:
            viewer.use_writer(write)
    relay.fan_out.join(FakeViewer(), StreamRequest(1))
    relay.fan_out.join(FakeViewer(), StreamRequest(AUTO, any_phase=True))
    relay.fan_out.auto_rate = 20
    for at in (1000, 1010):
        relay.fan_out.send(Tick(at, "x"))
        await settle()  # on a busy machine a round takes more than one slice
    relay.fan_out.counts.conflated = 3
    samples = read()
    assert [samples["clock_members", rate] for rate in ("auto", "100", "50", "1")] == [1, 4, 0, 1]
    assert samples["clock_auto_rate",] == 20
    assert 0 < samples["clock_load",] < 0.1
    assert samples["clock_rounds_total",] == 2
    assert samples["clock_rounds_conflated_total",] == 3
    assert samples["clock_frames_due_total",] == 10
    assert samples["clock_frames_refused_total",] == 2
    assert samples["clock_frames_cut_total",] == 2
    assert samples["clock_frames_failed_total",] == 2
    assert samples.keys() == before


async def test_metrics_of_the_admission(relay: Relay) -> None:
    """How full the worker is, and whom it refused: by the router, and after it has accepted the handshake."""
    samples = read()
    assert 0 < samples["clock_saturation",] < 0.1  # a worker without viewers still receives the ticks
    assert samples["clock_full",] == 0
    host = (b"host", b"localhost")
    own = (b"origin", b"http://localhost")
    await connect_to(b"", "/elsewhere", host, own)
    await connect_to(b"", "/ws/clock/", (b"host", b"evil.example"), own)
    await connect_to(b"", "/ws/clock/", host)
    await connect_to(b"", "/ws/clock/", host, (b"origin", b"http://evil.example"))
    await connect_to(b"rate=7", "/ws/clock/", host, own)
    current_worker.admission._max_viewers = 1
    current_worker.admission.admit(object())
    await connect_to(b"", "/ws/clock/", host, own)
    samples = read()
    refused = {name[1]: count for name, count in samples.items() if name[0] == "clock_handshakes_refused_total"}
    assert refused == {"path": 1, "host": 1, "origin": 2, "request": 1, "full": 1, "address": 0}
    assert (samples["clock_saturation",], samples["clock_full",]) == (1, 1)


async def connect_to(query: bytes, path: str, *headers: tuple[bytes, bytes]) -> None:
    """Try to open a WebSocket, and disconnect."""
    communicator = WebsocketCommunicator(application, f"{path}?{query.decode()}", headers=list(headers))
    await communicator.connect()
    await communicator.disconnect()


async def test_metrics_of_the_server(relay: Relay) -> None:
    """A client can send any close code, but that does not add time series."""
    status = ServerStatus()
    status.draining = True
    status.opened, status.timed_out = 9, 1
    for code in (1006, 4012, 4012, 3000, 3001, 4999):
        status.count_close(code)
    samples = read(status)
    assert samples["clock_draining",] == 1
    assert samples["clock_ready",] == 0
    assert samples["clock_websockets_opened_total",] == 9
    assert samples["clock_heartbeat_cut_off_total",] == 1
    closed = {name[1]: count for name, count in samples.items() if name[0] == "clock_websockets_closed_total"}
    assert {code: count for code, count in closed.items() if count} == {"1006": 1, "4012": 2, "other": 3}


async def test_names_follow_the_conventions_of_prometheus(relay: Relay) -> None:
    """All names have a prefix and base units."""
    relay.tick_filter.accept(Tick(0, "x"))
    for name, *_ in read(ServerStatus()):
        assert re.fullmatch(r"(clock|process)_[a-z_]+", name)
        assert not re.search(r"_(ms|milliseconds|minutes)(_|$)", name)


def test_a_real_worker(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """Viewers are counted when they connect, and when they disconnect in three ways. Process metrics are included."""
    port = free_port()
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="60", CLOCK_METRICS_PORT=str(port)) as worker:
        worker.wait_for_ticks()

        def read() -> Samples:
            status, headers, text = scrape(port)
            assert status == 200
            assert headers["content-type"].startswith("text/plain; version=")
            return parse(text)

        viewers = [connect(worker.port, path) for path in ("/ws/clock/", "/ws/clock/?rate=10", "/ws/clock/?rate=3")]
        watch(viewers[:2], 0.5)
        samples = read()
        assert samples["clock_ready",] == 1
        assert (samples["clock_members", "100"], samples["clock_members", "10"]) == (1, 1)
        assert samples["clock_ticks_taken_total",] >= samples["clock_rounds_total",] > 30
        assert samples["clock_frames_due_total",] >= len(viewers[0].times) > 30
        assert samples["clock_last_tick_age_seconds",] < 1
        assert samples["clock_fan_out_duration_seconds_count",] > 30
        assert samples["clock_subscriptions_total",] == 1
        assert samples["clock_handshakes_refused_total", "request"] == 1
        assert samples["clock_websockets_opened_total",] == 3
        assert samples["process_resident_memory_bytes",] > 1e6
        wait_until(
            lambda: read()["clock_tick_lateness_seconds_count",] > 0, "the clocks are compared, and ticks arrive", 10
        )
        viewers[0].socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # normal closure
        viewers[1].socket.close()  # without a close frame
        wait_until(
            lambda: sum(value for key, value in read().items() if "closed_total" in key[0]) == 3, "all closed", 5
        )
        samples = read()
        assert [samples["clock_websockets_closed_total", code] for code in ("1000", "1006", "4008")] == [1, 1, 1]
        worker.signal(signal.SIGTERM)
        wait_until(lambda: read()["clock_draining",] == 1, "the worker drains", 2)
        assert worker.get("/metrics")[0] == 404
        for viewer in viewers:
            viewer.socket.close()
