"""Redis over TLS, with a real server, and certificates that are valid or not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from clock.contract import GROUP
from clock.redis.layer import TickLayer
from clock.redis.outage import UNAVAILABLE
from testbed.processes import Ticker, Worker
from testbed.redis_servers import Certificate, Server
from tournament.configuration.redis_host import Sentinels, redis_host


@pytest.fixture(scope="module")
def certificate(directory: Path) -> Certificate:
    """A certificate for 127.0.0.1."""
    return Certificate(directory, "right")


@pytest.fixture(scope="module")
def server(directory: Path, certificate: Certificate) -> Iterator[Server]:
    """A server that accepts only TLS."""
    with Server(directory, certificate=certificate) as server:
        yield server


@pytest.fixture
async def make_layer() -> AsyncIterator[Callable[[str, str], Any]]:
    """Make layers as the settings do, with a URL and a file of certificate authorities."""
    made = []

    def make(url: str, ca_file: str) -> Any:
        host = redis_host(url, ca_file=ca_file, sentinels=Sentinels([], "clock"))
        made.append(TickLayer(prefix="clock", hosts=[host]))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def test_a_tick_is_sent_and_received(
    server: Server, certificate: Certificate, make_layer: Callable[[str, str], Any]
) -> None:
    """A tick that one layer sends over TLS is received by another."""
    url, got = f"rediss://{server.address}", list[Any]()
    sending, receiving = (make_layer(url, str(certificate.certificate)) for _ in range(2))
    await sending.group_send(GROUP, {"number": 0})
    task = asyncio.create_task(receiving.subscribe(GROUP, got.extend))
    async with asyncio.timeout(10):
        while not got:
            await sending.group_send(GROUP, {"number": 1})
            await asyncio.sleep(0.02)
    assert got[0] == {"number": 1}
    task.cancel()
    await asyncio.wait({task})


def test_ticker_and_worker_over_tls(server: Server, certificate: Certificate, directory: Path) -> None:
    """The programs work over TLS, each on its own event loop."""
    url, settings = f"rediss://{server.address}/3", {"REDIS_CA_FILE": str(certificate.certificate)}
    with Ticker(url, directory, **settings), Worker(url, directory, **settings) as worker:
        worker.wait_for_ticks()


@pytest.mark.parametrize("subject", ["IP:127.0.0.1", "DNS:redis.example"])
async def test_an_invalid_certificate_is_refused(
    directory: Path, subject: str, make_layer: Callable[[str, str], Any], certificate: Certificate
) -> None:
    """A certificate of an unknown authority or for another name means that Redis is unavailable; the error says why."""
    wrong = Certificate(directory, "wrong", subject)
    authority = certificate if subject.startswith("IP") else wrong
    with Server(directory, certificate=wrong) as server:
        layer = make_layer(f"rediss://{server.address}", str(authority.certificate))
        with pytest.raises(UNAVAILABLE, match="certificate verify failed"):
            await layer.group_send(GROUP, {})
        with pytest.raises(UNAVAILABLE, match="certificate verify failed"):
            await layer.subscribe(GROUP, list)


async def test_a_server_that_requires_a_client_certificate(
    directory: Path, certificate: Certificate, make_layer: Callable[[str, str], Any]
) -> None:
    """It gets the one that the URL names, and refuses a client without one."""
    with Server(directory, "--tls-auth-clients", "yes", certificate=certificate) as server:
        url, authority = f"rediss://{server.address}", str(certificate.certificate)
        with pytest.raises(UNAVAILABLE):
            await make_layer(url, authority).group_send(GROUP, {})
        url += f"?ssl_certfile={certificate.certificate}&ssl_keyfile={certificate.key}"
        layer = make_layer(url, authority)
        async with asyncio.timeout(20):
            while True:
                try:
                    await layer.group_send(GROUP, {})
                    break
                except RedisTimeoutError:  # a busy machine may need more than a second to connect
                    continue
