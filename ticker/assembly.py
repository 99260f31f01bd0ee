"""The assembly of a ticker. Every program that runs a ticker builds it here."""

import asyncio
import logging
import time
from typing import Final

from channels.layers import get_channel_layer
from django.conf import settings

from clock.contract import GROUP
from clock.process.backoff import Backoff
from clock.process.supervisor import Supervisor
from clock.redis.comparison import RedisClock
from clock.redis.outage import Outage
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.metrics import TickerMetrics
from ticker.metrics_port import MetricsPort
from ticker.metronome import Metronome
from ticker.publisher import Publisher
from ticker.standby import Standby
from ticker.ticker import Ticker

logger = logging.getLogger(__name__)

# The shortest and the longest pause between two attempts to reach Redis.
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.25


class PortUnavailable(RuntimeError):
    """The port of the metrics is unavailable. The text names the setting and the reason."""


def build_ticker(
    stopping: asyncio.Event | None = None,
    *,
    lease_class: type[Lease] = Lease,
    standby_class: type[Standby] = Standby,
) -> Ticker:
    """Return a ticker according to Django's settings, and start its comparison of clocks on the running event loop.

    Set `stopping` to stop the ticker. Tests replace the classes.

    Raises:
        TimeOutOfRange: the host's clock is before 1970 or after 9999.
        PortUnavailable: the address or port of the metrics is.
    """
    layer = get_channel_layer()
    supervisor = Supervisor()
    lease = lease_class(lambda: layer.connect(GROUP), settings.CLOCK_NAMESPACE)
    standby = standby_class(layer, settings.CLOCK_MAX_STANDBY_OFFSET, supervisor=supervisor)
    host_clock, metronome = HostClock(), Metronome()
    redis_clock = RedisClock(lambda: layer.connect(GROUP), lambda: time.time() * 1_000)
    outage = Outage(Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S))
    publisher = Publisher(layer, settings.CLOCK_TIME_ZONE, outage, redis_clock, host_clock)
    ticker = Ticker(metronome, publisher, lease, standby, stopping)
    if settings.CLOCK_TICKER_METRICS_PORT:
        metrics = TickerMetrics(
            ticker=ticker,
            metronome=metronome,
            publisher=publisher,
            lease=lease,
            standby=standby,
            redis_clock=redis_clock,
            host_clock=host_clock,
        )
        supervisor.start("metrics port", _open_metrics_port(metrics).run)
    supervisor.start("comparison", redis_clock.run)
    return ticker


def _open_metrics_port(metrics: TickerMetrics) -> MetricsPort:
    address, number = settings.CLOCK_TICKER_METRICS_ADDRESS, settings.CLOCK_TICKER_METRICS_PORT
    try:
        port = MetricsPort(address, number, metrics)
    except OSError as error:
        raise PortUnavailable(f"CLOCK_TICKER_METRICS_PORT={number} is unavailable on {address}: {error}") from None
    logger.info("metrics are on port %d, /metrics and /healthz", number)
    return port
