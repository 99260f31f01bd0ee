"""What Redis takes: the figures that follow from a measurement, and the measurement itself, in small."""

import pytest

from bench.scaling.redis_figures import PLANNED_LOAD, RedisFigures
from bench.scaling.redis_measurement import capture, measure
from bench.scaling.subscribers import Askers, Subscribers
from testbed.processes import Broker, Ticker
from tests.bench.scaling.examples import REDIS


def test_the_figures_can_be_read_back() -> None:
    """From their JSON."""
    assert RedisFigures.from_json(REDIS.as_json()) == REDIS


def test_the_costs_follow_from_the_runs() -> None:
    """Of a tick for a subscriber, of a replica for its master, of a comparison."""
    assert REDIS.delivery_s == pytest.approx(4e-6)
    assert REDIS.feed_s == pytest.approx(100 * 10e-6)
    assert REDIS.comparison_s == pytest.approx(20e-6)


def test_replicas_begin_where_the_master_ends() -> None:
    """One more worker than the master can feed needs a replica, and the master gets rid of the load."""
    most = REDIS.workers_of_master
    assert REDIS.replicas_for(most) == 0
    assert REDIS.load_of_master(most) <= PLANNED_LOAD < REDIS.load_of_master(most) + 0.001
    assert REDIS.replicas_for(most + 1) == 1
    assert REDIS.load_of_master(most + 1) < 0.1
    assert REDIS.replicas_for(10 * most) == -(-10 * most // REDIS.workers_of_replica)


def test_every_subscriber_receives_every_tick(broker: Broker, ticker: Ticker) -> None:
    """20 of them receive ten ticks each, of as many bytes as a captured one."""
    ticker.wait_until_leader()
    _, size = capture(broker.port)
    with Subscribers([broker.port], 20) as found:
        confirmed = found.received_bytes
        found.read(10)
        assert found.received_bytes - confirmed == pytest.approx(20 * 10 * size, rel=0.15)


def test_a_closed_connection_ends_the_reading(broker: Broker) -> None:
    """Rather than to wait for its ticks."""
    with Subscribers([broker.port], 1) as found:
        (connection,) = found._sockets.values()
        connection.sendall(b"QUIT\r\n")
        with pytest.raises(ConnectionError):
            found.read(10_000)


def test_askers_ask_for_the_time(broker: Broker) -> None:
    """Each of them gets an answer."""
    with Askers(broker.port, 10) as asking:
        asking.ask()


@pytest.mark.bench
def test_a_small_measurement() -> None:
    """With real servers, a real ticker and a replica."""
    runs = ((0, 0), (0, 20), (1, 20))
    found = measure(runs, ticks=50, idle_s=0.5, compared_s=2, askers=20)
    assert [(run.replicas, run.subscribers) for run in found.runs] == list(runs)
    assert all(run.master_us > 0 for run in found.runs)
    assert [run.replica_us is None for run in found.runs] == [True, True, False]
    assert found.delivery_s > 0
    assert 0 < found.base_load < 1
    assert 0 < found.added_p50_ms < 5
    assert found.added_p50_ms <= found.added_p99_ms
