"""The metrics of a worker, as Prometheus reads them (tournament/server/metrics_port.py serves them).

All of it is read when it is asked for. Nothing is counted for each frame, and for each tick only what is free.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clock.asgi import COUNTED_CODES, ServerStatus
from clock.broadcast.fan_out import FanOut
from clock.broadcast.relay import STATES, Relay
from clock.broadcast.worker import this_worker
from clock.contract import RATES
from clock.endpoints.health import reasons_against

# CPU, memory, open files, start: from /proc, so on Linux alone.
_PROCESS: Final = ProcessCollector(registry=None)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()


def metrics(status: ServerStatus) -> bytes:
    """Return the metrics of this worker in Prometheus' text format. `status` is its server's."""
    registry = CollectorRegistry()
    registry.register(Metrics(this_worker.relay, status, is_ready=not reasons_against(status)))
    registry.register(_PROCESS)
    return generate_latest(registry)


class Metrics(Collector):
    """The figures of one worker and its server."""

    def __init__(self, relay: Relay, status: ServerStatus, *, is_ready: bool) -> None:
        self._relay = relay
        self._status = status
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """Yield each with its present value."""
        yield GaugeMetricFamily("clock_ready", "Whether /readyz says so.", value=self._is_ready)
        yield from _of_relay(self._relay)
        yield from _of_fan_out(self._relay.fan_out)
        yield from _of_server(self._status)


def _of_relay(relay: Relay) -> Iterator[Metric]:
    state = GaugeMetricFamily("clock_relay_state", "What the relay does: 1 for its state.", labels=["state"])
    for name in STATES:
        state.add_metric([name], relay.state == name)
    yield state
    tick_filter = relay.tick_filter
    yield CounterMetricFamily("clock_ticks_taken", "Ticks that were taken as the newest.", value=tick_filter.taken)
    dropped = CounterMetricFamily("clock_ticks_dropped", "Messages that were not.", labels=["reason"])
    for reason, count in (tick_filter.dropped | {"not a tick": relay.not_ticks}).items():
        dropped.add_metric([reason], count)
    yield dropped
    last, instant = tick_filter.last, relay.instant()
    if last is not None and instant is not None:
        yield GaugeMetricFamily("clock_last_tick_age_seconds", "Since the last tick came.", value=instant.age / 1000)
        yield GaugeMetricFamily("clock_last_tick_timestamp_seconds", "What it told.", value=last.at / 1000)
        if last.synchronised is not None:
            yield GaugeMetricFamily("clock_synchronised", "Whether the ticker's clock is.", value=last.synchronised)
        yield GaugeMetricFamily("clock_term", "Rises when another ticker takes over.", value=last.term)
        yield GaugeMetricFamily("clock_step", "Rises when the ticker's wall clock was set.", value=last.step)


def _of_fan_out(fan_out: FanOut) -> Iterator[Metric]:
    counts, by_rate = fan_out.counts, fan_out.viewers_by_rate()
    viewers = GaugeMetricFamily("clock_members", "Clients that get frames, by frames a second.", labels=["rate"])
    for rate in RATES:
        viewers.add_metric([str(rate)], by_rate.get(rate, 0))
    yield viewers
    # Of the ticks taken, those that are no round gave way to a newer one before their turn.
    yield CounterMetricFamily("clock_rounds", "Ticks that were written to the viewers.", value=counts.rounds)
    yield CounterMetricFamily("clock_frames_due", "Frames that viewers were to get.", value=counts.due)
    yield CounterMetricFamily("clock_frames_refused", "Of these, missed: no room in the socket.", value=counts.refused)
    yield CounterMetricFamily("clock_frames_cut", "Taken in part; the rest followed.", value=counts.cut)
    yield CounterMetricFamily("clock_frames_failed", "Lost: the connection was broken.", value=counts.failed)


def _of_server(status: ServerStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("clock_draining", "Whether the worker was told to stop.", value=status.draining)
    yield CounterMetricFamily("clock_websockets_opened", "WebSockets that were accepted.", value=status.opened)
    closed = CounterMetricFamily("clock_websockets_closed", "Of these, closed, by close code.", labels=["code"])
    for code in (*COUNTED_CODES, None):
        closed.add_metric(["other" if code is None else str(code)], status.closed[code])
    yield closed
    yield CounterMetricFamily("clock_heartbeat_cut_off", "Of these, for an overdue pong.", value=status.timed_out)
