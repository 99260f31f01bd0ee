"""The metrics of a worker in Prometheus' text format (tournament/server/metrics_port.py serves them).

All values are read when Prometheus scrapes them. Nothing is counted per frame, and per tick it takes less than 1 µs.
"""

import platform
from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clock import __version__
from clock.asgi import COUNTED_CODES, ServerStatus
from clock.broadcast.admission import REFUSALS, Admission
from clock.broadcast.fan_out import FanOut
from clock.broadcast.rate_control import RateControl
from clock.broadcast.relay import STATES, Relay
from clock.broadcast.worker import current_worker
from clock.contract import AUTO, RATES
from clock.endpoints.health import unready_reasons

# CPU, memory, open files and start time. It reads /proc, so it works on Linux only.
_PROCESS: Final = ProcessCollector(registry=None)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()

# The reason for dropping a message that is not a valid tick. The tick filter has the other reasons.
INVALID: Final = "invalid"


def metrics(status: ServerStatus) -> bytes:
    """Return the metrics of this worker. `status` is its server's."""
    registry = CollectorRegistry()
    registry.register(Metrics(current_worker.relay, status, is_ready=not unready_reasons(status)))
    registry.register(_PROCESS)
    return generate_latest(registry)


class Metrics(Collector):
    """The metrics of one relay and one server."""

    def __init__(self, relay: Relay, status: ServerStatus, *, is_ready: bool) -> None:
        self._relay = relay
        self._status = status
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present value."""
        build = GaugeMetricFamily(
            "clock_build_info", "The versions, as labels; always 1.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("clock_ready", "Whether the worker is ready, as /readyz reports.", value=self._is_ready)
        yield from _of_relay(self._relay)
        yield from _of_fan_out(self._relay.fan_out)
        yield from _of_rate_control(current_worker.rate_control, self._relay.fan_out)
        yield from _of_admission(current_worker.admission, current_worker.refused)
        yield from _of_server(self._status)


def _of_relay(relay: Relay) -> Iterator[Metric]:
    state = GaugeMetricFamily("clock_relay_state", "1 for the present state of the relay.", labels=["state"])
    for name in STATES:
        state.add_metric([name], relay.state == name)
    yield state
    tick_filter = relay.tick_filter
    yield CounterMetricFamily("clock_ticks_taken", "Ticks accepted as the newest.", value=tick_filter.accepted)
    dropped = CounterMetricFamily("clock_ticks_dropped", "Messages dropped, by reason.", labels=["reason"])
    for reason, count in (tick_filter.dropped | {INVALID: relay.invalid}).items():
        dropped.add_metric([reason], count)
    yield dropped
    text = "From when a tick was due to when this worker handled it, by the ticker's clock."
    yield relay.arrivals.lateness.metric("clock_tick_lateness_seconds", text)
    text = "Subscriptions to the ticks, and attempts at one."
    yield CounterMetricFamily("clock_subscriptions", text, value=relay.subscriptions)
    last, instant = tick_filter.last, relay.instant()
    if last is not None and instant is not None:
        yield GaugeMetricFamily("clock_last_tick_age_seconds", "Age of the last tick.", value=instant.age / 1000)
        yield GaugeMetricFamily("clock_last_tick_timestamp_seconds", "Time of the last tick.", value=last.at / 1000)
        if last.synchronised is not None:
            text = "Whether NTP or PTP disciplines the ticker's clock."
            yield GaugeMetricFamily("clock_synchronised", text, value=last.synchronised)
        yield GaugeMetricFamily("clock_term", "The term of the leader. It rises with each takeover.", value=last.term)
        yield GaugeMetricFamily("clock_step", "How often the ticker's wall clock was set.", value=last.step)


def _of_fan_out(fan_out: FanOut) -> Iterator[Metric]:
    counts, by_rate = fan_out.counts, Counter[int | str]()
    for request, count in fan_out.viewers().items():
        by_rate[request.rate] += count
    viewers = GaugeMetricFamily("clock_members", "Viewers, by requested frames per second.", labels=["rate"])
    for rate in (AUTO, *RATES):
        viewers.add_metric([str(rate)], by_rate[rate])
    yield viewers
    yield CounterMetricFamily("clock_rounds", "Ticks written to the viewers.", value=counts.rounds)
    text = "Ticks that arrived while a whole tick, or more, still had to be written."
    yield CounterMetricFamily("clock_rounds_conflated", text, value=counts.conflated)
    text = "From a tick's arrival to its last frame, or to the next tick if that comes first."
    yield fan_out.durations.metric("clock_fan_out_duration_seconds", text)
    yield CounterMetricFamily("clock_frames_due", "Frames due to viewers.", value=counts.due)
    yield CounterMetricFamily("clock_frames_refused", "Due frames dropped: full socket.", value=counts.refused)
    yield CounterMetricFamily("clock_frames_cut", "Due frames written in two parts.", value=counts.partial)
    yield CounterMetricFamily("clock_frames_failed", "Due frames lost: broken connection.", value=counts.failed)


def _of_rate_control(rate_control: RateControl, fan_out: FanOut) -> Iterator[Metric]:
    text = "Frames per second of viewers that requested rate=auto."
    yield GaugeMetricFamily("clock_auto_rate", text, value=fan_out.auto_rate)
    text = "Predicted load at the present rates, as a share of a core."
    yield GaugeMetricFamily("clock_load", text, value=rate_control.predict(fan_out.auto_rate))


def _of_admission(admission: Admission, refused: Counter[str]) -> Iterator[Metric]:
    text = "How full the worker is, by load or by viewers; from 1 on it accepts no newcomer."
    yield GaugeMetricFamily("clock_saturation", text, value=admission.saturation)
    yield GaugeMetricFamily("clock_full", "Whether the worker accepts no newcomer.", value=admission.is_full)
    handshakes = CounterMetricFamily(
        "clock_handshakes_refused", "WebSocket handshakes refused, by reason.", labels=["reason"]
    )
    for reason in REFUSALS:
        handshakes.add_metric([reason], refused[reason])
    yield handshakes


def _of_server(status: ServerStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("clock_draining", "Whether the worker is draining.", value=status.draining)
    yield CounterMetricFamily("clock_websockets_opened", "WebSocket connections accepted.", value=status.opened)
    closed = CounterMetricFamily(
        "clock_websockets_closed", "WebSocket connections closed, by close code.", labels=["code"]
    )
    for code in (*COUNTED_CODES, None):
        closed.add_metric(["other" if code is None else str(code)], status.closed[code])
    yield closed
    text = "WebSocket connections closed because a pong was overdue."
    yield CounterMetricFamily("clock_heartbeat_cut_off", text, value=status.timed_out)
