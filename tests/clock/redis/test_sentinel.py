"""Redis Sentinel: with real servers, real Sentinels and real failovers."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool

from clock.contract import GROUP
from clock.redis.adapter.sentinel import MasterConnection
from clock.redis.layer import TickLayer
from clock.redis.outage import UNAVAILABLE
from testbed.processes import Ticker, Worker, wait_until
from testbed.redis_servers import Certificate, Sentinel, Server
from testbed.viewers import connect, watch
from tournament.configuration.redis_host import Sentinels, redis_host
from tournament.configuration.setting import InvalidSetting
from tournament.up.broker import free_port


class Watched:
    """A master, its replica, and three Sentinels that watch them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.master = stack.enter_context(Server(directory))
        self.replica = stack.enter_context(Server(directory, "--replicaof", f"127.0.0.1 {self.master.port}"))
        wait_until(lambda: is_linked(self.replica), "the replica follows the master")
        self.sentinels = [stack.enter_context(Sentinel(directory, self.master, quorum=2)) for _ in range(3)]
        wait_until(lambda: all(self.is_watched_by(sentinel) for sentinel in self.sentinels), "the Sentinels agree", 40)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of ticker and worker. Nothing listens at the address of the URL."""
        return {"REDIS_SENTINELS": ",".join(sentinel.address for sentinel in self.sentinels)}

    def is_watched_by(self, sentinel: Sentinel) -> bool:
        """Return whether a Sentinel knows the replica and the other Sentinels."""
        with sentinel.client() as client:
            master = client.sentinel_masters()["clock"]
            return bool(master["num-slaves"] == 1 and master["num-other-sentinels"] == 2)


NOBODY = f"redis://127.0.0.1:{free_port()}"


def is_linked(replica: Server) -> bool:
    """Return whether a replica follows its master."""
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


@pytest.fixture
def watched(directory: Path) -> Iterator[Watched]:
    """Servers and Sentinels for one test."""
    with ExitStack() as stack:
        yield Watched(directory, stack)


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_ticks_flow_within_5_s_of_a_failover(watched: Watched, directory: Path, how: signal.Signals) -> None:
    """When the master dies, or hangs with its connections open, viewers keep their sockets, and `at` goes on rising."""
    settings = watched.settings
    with Ticker(NOBODY, directory, **settings), Worker(NOBODY, directory, **settings) as worker:
        worker.wait_for_ticks()
        (viewer,) = viewers = [connect(worker.port)]
        watch(viewers, 0.5)
        watched.master.signal(how)
        watch(viewers, 1)  # what is in flight, and then the failure
        before = len(viewer.times)
        deadline = time.monotonic() + 5
        while len(viewer.times) < before + 50 and time.monotonic() < deadline:
            watch(viewers, 0.1)
        gap = max(after - before for before, after in pairwise(viewer.received_ms))
        print(f"the gap was {gap:.0f} ms")
        assert 500 < gap < 5000  # the failure of the master stopped the ticks, and another one carries them now
        assert len(viewer.times) > before + 50 - 1
        assert all(before < after for before, after in pairwise(viewer.times))
        if how == signal.SIGSTOP:  # it continues, and the Sentinels make it a replica
            watched.master.signal(signal.SIGCONT)
            deadline = time.monotonic() + 20
            while not is_linked(watched.master) and time.monotonic() < deadline:
                watch(viewers, 0.2)  # a viewer that does not read would be disconnected meanwhile
            assert is_linked(watched.master), "the old master follows the new one"
            watch(viewers, 1)
            before = len(viewer.times)
            watch(viewers, 1)
            assert len(viewer.times) > before + 50
        viewer.socket.close()
        assert "Traceback" not in worker.output()


def host_of(sentinels: list[tuple[str, int]], url: str = NOBODY, **options: Any) -> dict[str, Any]:
    """Return the channel layer's entry for these Sentinels."""
    ca_file = options.pop("ca_file", "")
    return redis_host(url, ca_file=ca_file, sentinels=Sentinels(sentinels, "clock", **options))


@pytest.fixture
async def make_layer() -> AsyncIterator[Callable[[dict[str, Any]], Any]]:
    """Make layers, each with one host."""
    made = []

    def make(host: dict[str, Any]) -> Any:
        made.append(TickLayer(prefix="clock", hosts=[host]))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def test_unavailable_sentinels_are_skipped(directory: Path, make_layer: Callable[[dict[str, Any]], Any]) -> None:
    """With one Sentinel that refuses connections and one that does not answer, the third is asked within 1 s."""
    with Server(directory) as master, Sentinel(directory, master) as sentinel, socket.create_server(("", 0)) as silent:
        addresses = [("127.0.0.1", free_port()), ("127.0.0.1", silent.getsockname()[1]), ("127.0.0.1", sentinel.port)]
        layer, got = make_layer(host_of(addresses)), list[Any]()
        began = time.monotonic()
        async with asyncio.timeout(1):  # as long as a ticker waits
            await layer.group_send(GROUP, {})
        assert time.monotonic() - began > 0.08  # the silent one was asked
        receiving = asyncio.create_task(layer.subscribe(GROUP, got.extend))
        async with asyncio.timeout(5):
            while not got:
                await layer.group_send(GROUP, {"number": 1})
                await asyncio.sleep(0.02)
        # The Sentinels are not connected to until they are needed again, and in the end no connection is left.
        with sentinel.client() as client:
            assert len(client.client_list(_type="normal")) == 1
        receiving.cancel()
        await asyncio.wait({receiving})
        await layer.flush()
        with master.client() as client:
            wait_until(lambda: own_connections(client) == 0, "no connection is left")


def own_connections(client: Any) -> int:
    """Return how many connections the server has, without the client's and those of Sentinels."""
    others = [one for one in client.client_list() if "sentinel" not in one["name"] and one["cmd"] != "client|list"]
    return len(others)


async def test_a_server_that_is_not_the_master_is_refused(directory: Path) -> None:
    """A Sentinel that has not noticed a failover names a replica, which would accept everything without an error."""
    with Server(directory) as master, Server(directory, "--replicaof", f"127.0.0.1 {master.port}") as replica:

        class Late:
            async def discover_master(self, _name: str) -> tuple[str, int]:
                return "127.0.0.1", replica.port

            async def aclose(self) -> None:
                pass

        pool: Any = SentinelConnectionPool("clock", Late(), connection_class=MasterConnection)  # type: ignore[no-untyped-call]
        with pytest.raises(UNAVAILABLE, match="not a master"):
            await pool.get_connection()
        await pool.aclose()


async def test_sentinels_that_know_no_master(directory: Path, make_layer: Callable[[dict[str, Any]], Any]) -> None:
    """The error means that Redis is unavailable, and is short. So it is if no Sentinel answers."""
    with Server(directory) as master, Sentinel(directory, master) as sentinel:
        host = host_of([("127.0.0.1", sentinel.port)])
        for one in ({**host, "master_name": "another"}, host_of([("127.0.0.1", free_port())] * 3)):
            with pytest.raises(UNAVAILABLE) as caught:
                await make_layer(one).group_send(GROUP, {})
            assert "knows of a master" in str(caught.value)
            assert len(str(caught.value)) < 100


@pytest.mark.soak
def test_sentinel_with_passwords_and_tls(directory: Path) -> None:
    """Servers and Sentinels over TLS, with a user for the servers, and another password for the Sentinels.

    Errors are logged without the passwords.
    """
    certificate = Certificate(directory, "all-the-way")
    user = ("--user", "clock", "on", ">sesame", "allchannels", "allkeys", "+@all")
    with (
        Server(directory, *user, certificate=certificate) as master,
        Sentinel(directory, master, "requirepass poppy", certificate=certificate) as sentinel,
    ):
        settings = {
            "REDIS_CA_FILE": str(certificate.certificate),
            "REDIS_SENTINELS": f"127.0.0.1:{sentinel.port}",
            "REDIS_SENTINEL_PASSWORD": "poppy",
        }
        url = "rediss://clock:sesame@nowhere.invalid/1"
        with Ticker(url, directory, **settings) as ticker, Worker(url, directory, **settings) as worker:
            worker.wait_for_ticks()
            with master.client(ca_file=certificate.certificate) as client:
                ours = [one for one in client.client_list() if one["user"] == "clock"]
            assert {one["db"] for one in ours} == {"1"}
            sentinel.kill()
            master.kill()
            ticker.wait_for_output("Redis is unavailable")
            worker.wait_for_output("Redis is unavailable")
            assert not re.search("sesame|poppy", ticker.output() + worker.output())


def test_settings_that_exclude_each_other_are_refused() -> None:
    """The error names the setting."""
    with pytest.raises(InvalidSetting, match="REDIS_SENTINELS"):
        host_of([("127.0.0.1", 1)], "unix:///run/redis.sock")
    with pytest.raises(InvalidSetting, match="REDIS_CA_FILE"):
        host_of([], "redis://localhost", ca_file="/etc/hosts")
