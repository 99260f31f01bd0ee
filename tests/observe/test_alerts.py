"""Each alert, in a real Prometheus: something breaks, the alert fires; it is mended, and the alert is resolved.

The fixture `prometheus` checks that nothing fires before and after each test.
"""

import re
import time
from contextlib import closing
from functools import partial

import pytest
import redis

from testbed.proxies.delay import DIRECT, Line
from testbed.viewers import close, connect, watch
from tests.observe.conftest import Clock, ObservedTicker, killed, stopped
from tests.observe.prometheus import RULES, Prometheus

pytestmark = pytest.mark.timeout(180)

# A balancer that is saturated: far above the limits of the alerts.
SATURATED = Line(delay_s=0.4, spread_s=0.05, stall_s=0.0)


def test_no_ticks(clock: Clock, prometheus: Prometheus) -> None:
    """Both tickers stop. A viewer is connected, again and again, and gets nothing."""
    with stopped(*clock.tickers):
        prometheus.wait_for("ClockNoTicks", "ClockUnreachable")


def test_two_leaders(clock: Clock, prometheus: Prometheus) -> None:
    """A ticker that believes to be the leader beside the real one."""
    second = ObservedTicker(clock.broker.url, clock.directory)
    second.command = [second.command[0], "-m", "testbed.faults.false_leader", "1"]
    with second, prometheus.scraping("clock-ticker", [one.metrics_port for one in (*clock.tickers, second)]):
        prometheus.wait_for("ClockTwoLeaders")


def test_workers_without_redis(clock: Clock, prometheus: Prometheus) -> None:
    """No worker is ready, and each of them is not."""
    with stopped(clock.broker):
        prometheus.wait_for("ClockNoTicks", "ClockNoWorkerReady", "ClockWorkerNotReady")


def test_a_slow_redis(clock: Clock, prometheus: Prometheus) -> None:
    """Ticks are published late, and arrive late.

    One tick in four meets a Redis that has just stopped. The others wait with the message that warms up, and are not
    sent at all. So Redis runs for three ticks at a time: then more than one in a hundred of those sent is late.
    """
    with stopped(clock.broker, pulse=(0.25, 0.03)):
        prometheus.wait_for("ClockTickerLate", "ClockWorkerLate")


def test_no_balancer(clock: Clock, prometheus: Prometheus) -> None:
    """A viewer cannot connect."""
    with killed(clock.balancer):
        prometheus.wait_for("ClockUnreachable")


def test_a_saturated_balancer(clock: Clock, prometheus: Prometheus) -> None:
    """A viewer behind it gets frames late, and one that comes then cannot know the time well."""
    clock.balancer.restart(SATURATED)
    try:
        with killed(clock.watch):
            pass
        prometheus.wait_for("ClockLateForViewers", "ClockBoundWide")
    finally:
        clock.balancer.restart(DIRECT)


def test_an_unsynchronised_host(clock: Clock, prometheus: Prometheus) -> None:
    """A standby's counts as well: it may lead soon."""
    leader = clock.leader(prometheus)
    (standby,) = (one for one in clock.tickers if one is not leader)
    standby.synchronise(is_synchronised=False)
    try:
        prometheus.wait_for("ClockUnsynchronised")
    finally:
        standby.synchronise(is_synchronised=True)


def test_a_leader_whose_machine_stalls(clock: Clock, prometheus: Prometheus) -> None:
    """It skips ticks."""
    with stopped(clock.leader(prometheus), pulse=(0.15, 0.15)):
        prometheus.wait_for("ClockTicksSkipped")


def test_links_to_redis_that_fail(clock: Clock, prometheus: Prometheus) -> None:
    """Redis drops the subscribers again and again."""
    with closing(redis.Redis(port=clock.broker.port)) as client:

        def drop() -> None:
            client.client_kill_filter(_type="pubsub")
            time.sleep(0.3)

        prometheus.wait_for("ClockRedisReconnects", meanwhile=drop)


def test_full_workers(clock: Clock, prometheus: Prometheus) -> None:
    """The first is full, and then all are."""
    viewers = [connect(clock.workers[0].port) for _ in range(4)]  # and the one that watches
    try:
        prometheus.wait_for("ClockSaturated", meanwhile=partial(watch, viewers, 0.2))
        assert "ClockFull" not in prometheus.firing()
        viewers += [connect(clock.workers[1].port) for _ in range(5)]
        prometheus.wait_for("ClockFull", meanwhile=partial(watch, viewers, 0.2))
    finally:
        close(viewers)


def test_a_worker_that_is_gone(clock: Clock, prometheus: Prometheus) -> None:
    """It does not answer Prometheus."""
    with killed(clock.workers[1]):
        prometheus.wait_for("ClockTargetDown")


def test_nobody_watches(clock: Clock, prometheus: Prometheus) -> None:
    """Without `watch`, nobody sees what viewers see."""
    with prometheus.scraping("clock-watch", []):
        prometheus.wait_for("ClockMetricsAbsent")


def test_every_alert_has_fired(prometheus: Prometheus) -> None:
    """In the tests above. The fixture has seen that all but the watchdog are resolved."""
    assert prometheus.have_fired() == {*re.findall(r"- alert: (\w+)", RULES.read_text())}
