"""Each alert, in a real Prometheus: something breaks, the alert fires; it is mended, and the alert is resolved.

The fixture `prometheus` checks that nothing fires before and after each test.
"""

import contextlib

import pytest
import redis

from testbed.processes import ROOT
from testbed.proxies.delay import DelayProxy
from testbed.viewers import close, connect
from tests.observe.conftest import Clock, ObservedTicker, Watch, stopped
from tests.observe.prometheus import Prometheus

pytestmark = pytest.mark.timeout(180)


def test_no_ticks(clock: Clock, prometheus: Prometheus) -> None:
    """Both tickers stop."""
    with stopped(*clock.tickers):
        prometheus.wait_for("ClockNoTicks", "ClockUnreachable")


def test_two_leaders(clock: Clock, prometheus: Prometheus) -> None:
    """A ticker that believes to be the leader beside the real one."""
    second = ObservedTicker(clock.broker.url, clock.directory)
    second.command = [second.command[0], "-m", "testbed.faults.false_leader", "1"]
    with second:
        prometheus.scrape("clock-ticker", [one.metrics_port for one in (*clock.tickers, second)])
        prometheus.wait_for("ClockTwoLeaders")
        prometheus.scrape("clock-ticker", [one.metrics_port for one in clock.tickers])


def test_workers_without_redis(clock: Clock, prometheus: Prometheus) -> None:
    """No worker is ready, and each of them is not."""
    with stopped(clock.broker):
        prometheus.wait_for("ClockNoTicks", "ClockNoWorkerReady", "ClockWorkerNotReady")


def test_a_slow_redis(clock: Clock, prometheus: Prometheus) -> None:
    """Ticks are published late, and arrive late."""
    with stopped(clock.broker, pulse=(0.15, 0.15)):
        prometheus.wait_for("ClockTickerLate", "ClockWorkerLate")


def test_a_slow_balancer(clock: Clock, prometheus: Prometheus) -> None:
    """A viewer behind it gets frames late, and cannot know the time well."""
    with (
        DelayProxy(clock.workers[0].port, clock.directory) as proxy,
        Watch(proxy.port, clock.directory) as watch,
    ):
        prometheus.scrape("clock-watch", [clock.watch.metrics_port, watch.metrics_port])
        prometheus.wait_for("ClockLateForViewers", "ClockBoundWide")
        prometheus.scrape("clock-watch", [clock.watch.metrics_port])


def test_an_unsynchronised_host(clock: Clock, prometheus: Prometheus) -> None:
    """The standby's counts as well: it may lead soon."""
    clock.standby.synchronise(is_synchronised=False)
    prometheus.wait_for("ClockUnsynchronised")
    clock.standby.synchronise(is_synchronised=True)


def test_a_leader_whose_machine_stalls(clock: Clock, prometheus: Prometheus) -> None:
    """It skips ticks."""
    with stopped(clock.leader, pulse=(0.1, 0.2)):
        prometheus.wait_for("ClockTicksSkipped")


def test_links_to_redis_that_fail(clock: Clock, prometheus: Prometheus) -> None:
    """Redis drops the subscribers again and again."""
    with contextlib.closing(redis.Redis(port=clock.broker.port)) as client:
        before = sum(float(one["value"][1]) for one in prometheus.query("clock_subscriptions_total"))
        while "ClockRedisReconnects" not in prometheus.firing():
            client.client_kill_filter(_type="pubsub")
        after = sum(float(one["value"][1]) for one in prometheus.query("clock_subscriptions_total"))
    assert after > before


def test_full_workers(clock: Clock, prometheus: Prometheus) -> None:
    """The first is full, and then all are."""
    viewers = [connect(clock.workers[0].port) for _ in range(4)]  # and the one that watches
    prometheus.wait_for("ClockSaturated")
    assert "ClockFull" not in prometheus.firing()
    viewers += [connect(clock.workers[1].port) for _ in range(5)]
    prometheus.wait_for("ClockFull")
    close(viewers)


def test_a_worker_that_is_gone(clock: Clock, prometheus: Prometheus) -> None:
    """It does not answer Prometheus."""
    clock.workers[1].kill()
    prometheus.wait_for("ClockTargetDown")
    clock.workers[1].start()


def test_nobody_watches(clock: Clock, prometheus: Prometheus) -> None:
    """Without `watch`, nobody sees what viewers see."""
    prometheus.scrape("clock-watch", [])
    prometheus.wait_for("ClockMetricsAbsent")
    prometheus.scrape("clock-watch", [clock.watch.metrics_port])


def test_every_alert_has_fired() -> None:
    """Each is in one of the tests above. The fixture expects the watchdog."""
    rules = (ROOT / "deploy" / "prometheus" / "clock.rules.yml").read_text()
    names = {line.split()[-1] for line in rules.splitlines() if "- alert:" in line}
    source = (ROOT / "tests" / "observe" / "test_alerts.py").read_text()
    assert {name for name in names if f'"{name}"' not in source} == {"ClockWatchdog"}
