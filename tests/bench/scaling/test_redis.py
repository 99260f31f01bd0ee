"""What Redis takes: the figures that follow from a measurement, and the measurement itself, in small."""

import pytest

from bench.scaling.redis_figures import PLANNED_LOAD, RedisFigures
from bench.scaling.redis_measurement import measure
from bench.scaling.subscribers import Askers, Subscribers
from testbed.processes import Broker, Ticker
from tests.bench.scaling.examples import REDIS


def test_the_figures_can_be_read_back() -> None:
    """From their JSON."""
    assert RedisFigures.from_json(REDIS.as_json()) == REDIS


def test_the_costs_follow_from_the_runs() -> None:
    """Of a tick for a subscriber, of a replica for its master, of a comparison."""
    assert REDIS.delivery_s == pytest.approx(0.4 / 100_000)
    assert REDIS.feed_s == pytest.approx(0.02 / 4)
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
    """20 of them receive about 100 a second each, and the loop knows how late they are."""
    ticker.wait_until_leader()
    with Subscribers([broker.port], 20) as found:
        found.read(0.2)
        found.read(0.5)
        assert 20 * 40 <= found.messages <= 20 * 55
        assert 200 < found.received_bytes / found.messages < 500
        assert 0 < found.percentile_ms(50) <= found.percentile_ms(99) < 100


def test_a_closed_connection_ends_the_reading(broker: Broker) -> None:
    """Rather than to count fewer ticks."""
    with Subscribers([broker.port], 1) as found:
        (connection,) = found._sockets.values()
        connection.sendall(b"QUIT\r\n")
        with pytest.raises(ConnectionError):
            found.read(5)


def test_askers_ask_once_a_second(broker: Broker) -> None:
    """Each of them; so ten take a second for ten."""
    with Askers(broker.port, 10) as asking:
        asking.ask(1)


@pytest.mark.bench
def test_a_small_measurement() -> None:
    """With real servers, a real ticker and a replica."""
    runs = ((0, 0), (0, 20), (1, 20))
    found = measure(runs, seconds=1, compared_s=2, askers=20, cores=None)
    assert [(run.replicas, run.subscribers) for run in found.runs] == list(runs)
    assert all(0 < run.master_load < 1 for run in found.runs)
    assert [run.replica_load is None for run in found.runs] == [True, True, False]
    assert found.delivery_s > 0
    assert 0 < found.added_p50_ms < 5
    assert found.added_p50_ms <= found.added_p99_ms
