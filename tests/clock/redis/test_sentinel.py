"""The master that Sentinel names: real servers, real Sentinels, real failovers."""

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
from clock.redis.layer import TickLayer
from clock.redis.outage import UNAVAILABLE
from clock.redis.sentinel import MasterConnection
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
        wait_until(lambda: is_linked(self.replica), "the replica is in step")
        self.sentinels = [stack.enter_context(Sentinel(directory, self.master, quorum=2)) for _ in range(3)]
        wait_until(lambda: all(self.is_watched_by(sentinel) for sentinel in self.sentinels), "the Sentinels agree")

    @property
    def settings(self) -> dict[str, str]:
        """What ticker and worker are told. The address of the URL is nobody's."""
        return {"REDIS_SENTINELS": ",".join(sentinel.address for sentinel in self.sentinels)}

    def is_watched_by(self, sentinel: Sentinel) -> bool:
        """Return whether it knows the replica and the other Sentinels."""
        with sentinel.client() as client:
            master = client.sentinel_masters()["clock"]  # type: ignore[no-untyped-call]
            return bool(master["num-slaves"] == 1 and master["num-other-sentinels"] == 2)


NOBODY = f"redis://127.0.0.1:{free_port()}"


def is_linked(replica: Server) -> bool:
    """Return whether a replica follows its master."""
    with replica.client() as client:
        return client.info("replication").get("master_link_status") == "up"


@pytest.fixture
def watched(directory: Path) -> Iterator[Watched]:
    """Servers and Sentinels of one's own."""
    with ExitStack() as stack:
        yield Watched(directory, stack)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_ticks_flow_within_5_s_of_a_failover(watched: Watched, directory: Path, how: signal.Signals) -> None:
    """The master dies, or hangs with its links open: the viewers keep their sockets, and the times rise on."""
    settings = watched.settings
    with Ticker(NOBODY, directory, **settings), Worker(NOBODY, directory, **settings) as worker:
        worker.wait_for_ticks()
        (viewer,) = viewers = [connect(worker.port)]
        watch(viewers, 0.5)
        watched.master.signal(how)
        watch(viewers, 6)
        gap = max(after - before for before, after in pairwise(viewer.received_ms))
        print(f"the gap was {gap:.0f} ms")
        assert 500 < gap < 5000  # it was the master; and there is another
        assert len(viewer.times) > 100
        assert all(before < after for before, after in pairwise(viewer.times))
        if how == signal.SIGSTOP:  # it comes back, and is told that it is a replica now
            watched.master.signal(signal.SIGCONT)
            wait_until(lambda: is_linked(watched.master), "the old master follows the new one")
            watch(viewers, 1)
            before = len(viewer.times)
            watch(viewers, 1)
            assert len(viewer.times) > before + 50
        viewer.socket.close()
        assert "Traceback" not in worker.output()


def host_of(sentinels: list[tuple[str, int]], url: str = NOBODY, **options: Any) -> dict[str, Any]:
    """Return the entry for the channel layer."""
    ca_file = options.pop("ca_file", "")
    return redis_host(url, ca_file=ca_file, sentinels=Sentinels(sentinels, "clock", **options))


@pytest.fixture
async def make_layer() -> AsyncIterator[Callable[[dict[str, Any]], Any]]:
    """Make layers, each of one host."""
    made = []

    def make(host: dict[str, Any]) -> Any:
        made.append(TickLayer(prefix="clock", hosts=[host]))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def test_dead_and_silent_sentinels_are_passed_over(
    directory: Path, make_layer: Callable[[dict[str, Any]], Any]
) -> None:
    """One that is not there and one that says nothing: the third is asked in time."""
    with Server(directory) as master, Sentinel(directory, master) as sentinel, socket.create_server(("", 0)) as silent:
        addresses = [("127.0.0.1", free_port()), ("127.0.0.1", silent.getsockname()[1]), ("127.0.0.1", sentinel.port)]
        layer, got = make_layer(host_of(addresses)), list[Any]()
        began = time.monotonic()
        async with asyncio.timeout(1):  # as long as a ticker waits
            await layer.group_send(GROUP, {})
        assert time.monotonic() - began > 0.08  # the silent one was asked
        hearing = asyncio.create_task(layer.subscribe(GROUP, got.extend))
        async with asyncio.timeout(5):
            while not got:
                await layer.group_send(GROUP, {"number": 1})
                await asyncio.sleep(0.02)
        # Nobody needs the Sentinels until the next time; and nothing is left anywhere in the end.
        with sentinel.client() as client:
            assert len(client.client_list(_type="normal")) == 1
        hearing.cancel()
        await asyncio.wait({hearing})
        await layer.flush()
        with master.client() as client:
            wait_until(lambda: own_connections(client) == 0, "no connection is left")


def own_connections(client: Any) -> int:
    """Return how many connections the server holds that are neither the client's nor a Sentinel's."""
    others = [one for one in client.client_list() if "sentinel" not in one["name"] and one["cmd"] != "client|list"]
    return len(others)


async def test_a_master_that_is_none_is_refused(watched: Watched) -> None:
    """A Sentinel that has not heard of a failover names what is a replica by now, and that would take it in silence."""

    class Late:
        async def discover_master(self, _name: str) -> tuple[str, int]:
            return "127.0.0.1", watched.replica.port

        async def aclose(self) -> None:
            pass

    pool = SentinelConnectionPool("clock", Late(), connection_class=MasterConnection)
    with pytest.raises(UNAVAILABLE, match="no master"):
        await pool.get_connection()
    await pool.aclose()


async def test_sentinels_that_know_no_master(directory: Path, make_layer: Callable[[dict[str, Any]], Any]) -> None:
    """Or none that answers: Redis is away, in a few words."""
    with Server(directory) as master, Sentinel(directory, master) as sentinel:
        host = host_of([("127.0.0.1", sentinel.port)])
        for one in ({**host, "master_name": "another"}, host_of([("127.0.0.1", free_port())] * 3)):
            with pytest.raises(UNAVAILABLE) as caught:
                await make_layer(one).group_send(GROUP, {})
            assert "knows of a master" in str(caught.value)
            assert len(str(caught.value)) < 100


def test_with_passwords_and_tls_all_the_way(directory: Path) -> None:
    """Servers and Sentinels over TLS, a user of the servers, and another password for the Sentinels."""
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
            with master.client(ssl=True, ssl_ca_certs=str(certificate.certificate)) as client:
                ours = [one for one in client.client_list() if one["user"] == "clock"]
            assert {one["db"] for one in ours} == {"1"}
            # What goes wrong is said, and the passwords are not.
            sentinel.kill()
            master.kill()
            ticker.wait_for_output("Redis is unavailable")
            worker.wait_for_output("Redis is unavailable")
            assert not re.search("sesame|poppy", ticker.output() + worker.output())


def test_what_does_not_go_together_is_refused() -> None:
    """By name."""
    with pytest.raises(InvalidSetting, match="REDIS_SENTINELS"):
        host_of([("127.0.0.1", 1)], "unix:///run/redis.sock")
    with pytest.raises(InvalidSetting, match="REDIS_CA_FILE"):
        host_of([], "redis://localhost", ca_file="/etc/hosts")
