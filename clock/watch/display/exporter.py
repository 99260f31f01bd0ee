"""The exporter: what `watch` measures, as metrics for Prometheus. No worker sees the lateness behind a balancer."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clock.watch.session import Display
from clock.watch.statistics import WINDOW_S
from clock.watch.summary import Summary

# Seconds between two summaries, if the other display wants none.
INTERVAL_S: Final = 1.0

_QUANTILES: Final = {"minimum": "0", "median": "0.5", "p99": "0.99"}


class Exporter(Collector):
    """Serves the metrics of the newest summary, and passes all of them on to another display.

    Raises: OSError if the port cannot be opened.
    """

    def __init__(self, display: Display, address: str, port: int) -> None:
        self.interval_s = display.interval_s or INTERVAL_S
        self._display = display
        self._summary: Summary | None = None
        registry = CollectorRegistry()
        registry.register(self)
        self._server, _ = start_http_server(port, address, registry)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port)

    def update(self, summary: Summary, events: list[str]) -> None:
        """Keep a summary, and pass it on."""
        self._summary = summary
        self._display.update(summary, events)

    def end(self, summary: Summary, events: list[str]) -> None:
        """Close the port, and pass the last summary on."""
        self._server.shutdown()
        self._server.server_close()
        self._display.end(summary, events)

    def collect(self) -> Iterator[Metric]:
        """Yield each metric. What is unknown is absent."""
        if self._summary is not None:
            yield from _recent(self._summary)
            yield from _total(self._summary)


def _recent(summary: Summary) -> Iterator[Metric]:
    recent, text = summary.recent, f"in the last {WINDOW_S} seconds"
    yield GaugeMetricFamily("clock_watch_viewers", "Streams that are to be open.", value=summary.viewers)
    yield GaugeMetricFamily("clock_watch_connected", "Streams that are open.", value=summary.connected)
    yield GaugeMetricFamily("clock_watch_rate_hertz", f"Frames per second and viewer, {text}.", value=recent.rate)
    yield GaugeMetricFamily(
        "clock_watch_longest_gap_seconds",
        f"The longest time without a frame, {text}.",
        value=recent.longest_gap / 1_000,
    )
    if recent.lateness is not None:
        lateness = GaugeMetricFamily(
            "clock_watch_lateness_seconds", f"How late frames arrived, {text}.", labels=["quantile"]
        )
        for name, quantile in _QUANTILES.items():
            lateness.add_metric([quantile], getattr(recent.lateness, name) / 1_000)
        yield lateness
    if summary.bound is not None:
        text = "How far off the ticker's time may be here."
        yield GaugeMetricFamily("clock_watch_bound_seconds", text, value=summary.bound / 1_000)
    text = "The longest time for which the program that measures stood still."
    yield GaugeMetricFamily("clock_watch_stall_seconds", text, value=summary.stall / 1_000)


def _total(summary: Summary) -> Iterator[Metric]:
    yield CounterMetricFamily("clock_watch_frames", "Frames received.", value=summary.total.frames)
    yield CounterMetricFamily("clock_watch_long_gaps", "Gaps that were long.", value=summary.total.long_gaps)
    yield CounterMetricFamily(
        "clock_watch_probes_failed", "Requests of /clock/now that failed.", value=summary.unanswered
    )
    closed = CounterMetricFamily("clock_watch_closed", "Connections that ended, by close code.", labels=["code"])
    for code, count in summary.closes.items():
        closed.add_metric([code], count)
    yield closed
    failed = CounterMetricFamily("clock_watch_failed", "Attempts to connect that failed, by kind.", labels=["kind"])
    for kind, count in summary.failures.items():
        failed.add_metric([kind], count)
    yield failed
