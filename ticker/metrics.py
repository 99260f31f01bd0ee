"""The metrics of a ticker in Prometheus' text format, and whether it is alive (ticker/metrics_port.py serves them).

All values are read when Prometheus scrapes them.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clock import __version__
from clock.redis.comparison import RedisClock
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import UNPUBLISHED_REASONS, Ticker

# CPU, memory, open files and start time. It reads /proc, so it works on Linux only.
_PROCESS: Final = ProcessCollector(registry=None)

# The states of a ticker: it holds the lease; another ticker publishes; nobody does, as far as this one knows; or Redis
# is unavailable.
LEADER, STANDBY, CANDIDATE, REDIS_UNAVAILABLE = STATES = ("leader", "standby", "candidate", "unavailable")

# A ticker that has done nothing for so many seconds is not alive. It is more than the pause after which a leader whose
# clock is behind the last tick continues (3 s), and more than a lease is valid without Redis.
MAX_STALL_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class TickerMetrics(Collector):
    """The metrics of a ticker and of its parts."""

    ticker: Ticker
    metronome: Metronome
    publisher: Publisher
    lease: Lease
    standby: Standby
    redis_clock: RedisClock
    host_clock: HostClock

    def render(self) -> bytes:
        """Return all metrics as text."""
        registry = CollectorRegistry()
        registry.register(self)
        registry.register(_PROCESS)
        return generate_latest(registry)

    def stall(self) -> str | None:
        """Return why this ticker is not alive; None if it is. An unavailable Redis is no reason: a standby waits.

        But a leader that publishes nothing keeps every standby from publishing.
        """
        stalled_s = self.ticker.stalled_s()
        if stalled_s < MAX_STALL_S:
            return None
        return f"no tick published for {stalled_s:.0f} s" if self.ticker.is_leading else f"idle for {stalled_s:.0f} s"

    def state(self) -> str:
        """Return one of `STATES`."""
        if self.ticker.is_leading and self.lease.is_valid():
            return LEADER
        if self.publisher.outage.since is not None:
            return REDIS_UNAVAILABLE
        return STANDBY if self.standby.is_receiving else CANDIDATE

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present value."""
        build = GaugeMetricFamily(
            "clock_ticker_build_info", "The versions, as labels; always 1.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        yield from self._of_ticks()
        yield from self._of_lease()
        yield from self._of_clocks()

    def _of_ticks(self) -> Iterator[Metric]:
        ticker = self.ticker
        yield CounterMetricFamily("clock_ticker_ticks_published", "Ticks that Redis took.", value=ticker.published)
        unpublished = CounterMetricFamily(
            "clock_ticker_ticks_unpublished", "Ticks that were due and not published, by reason.", labels=["reason"]
        )
        for reason in UNPUBLISHED_REASONS:
            unpublished.add_metric([reason], ticker.unpublished[reason])
        yield unpublished
        text = "Ticks that were skipped because this machine stalled."
        yield CounterMetricFamily("clock_ticker_ticks_skipped", text, value=self.metronome.counts.skipped)
        text = "From when a tick was due to when Redis had taken it."
        yield ticker.lateness.metric("clock_ticker_lateness_seconds", text)
        if self.publisher.last is not None:
            text = "Time of the last tick that Redis took from this ticker."
            at_s = self.publisher.last.at / 1000
            yield GaugeMetricFamily("clock_ticker_last_tick_timestamp_seconds", text, value=at_s)

    def _of_lease(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("clock_ticker_state", "1 for the present state of the ticker.", labels=["state"])
        present = self.state()
        for name in STATES:
            state.add_metric([name], name == present)
        yield state
        text = "The highest term that this ticker has held; 0 before the first."
        yield GaugeMetricFamily("clock_ticker_term", text, value=self.lease.term)
        text = "How often this ticker became the leader."
        yield CounterMetricFamily("clock_ticker_takeovers", text, value=self.ticker.takeovers)
        text = "How often Redis became unavailable to this ticker."
        yield CounterMetricFamily("clock_ticker_redis_outages", text, value=self.publisher.outage.count)

    def _of_clocks(self) -> Iterator[Metric]:
        text = "How often this ticker found, while it was the leader, that the wall clock was set."
        yield CounterMetricFamily("clock_ticker_clock_steps", text, value=self.metronome.counts.steps)
        synchronised = self.host_clock.ask()
        if synchronised is not None:
            text = "Whether NTP or PTP disciplines this host's clock."
            yield GaugeMetricFamily("clock_ticker_synchronised", text, value=synchronised)
        comparison = self.redis_clock.read()
        if comparison is not None:
            text = "How far the clock of Redis is ahead of this host's clock."
            yield GaugeMetricFamily("clock_ticker_redis_offset_seconds", text, value=comparison.ahead / 1000)
            text = "The margin of error of that offset."
            yield GaugeMetricFamily("clock_ticker_redis_margin_seconds", text, value=comparison.margin / 1000)
