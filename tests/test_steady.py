"""The server while the wall clock is set, and in its last moments: the reactor in the test's hands."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from daphne.http_protocol import WebRequest

from tournament import steady
from tournament.reactor import SteadyReactor
from tournament.steady import SteadyServer

HOURS = 3600.0


class Clocks:
    """The two clocks of a machine, in seconds."""

    def __init__(self) -> None:
        self.wall = 1_795_351_680.0
        self.running = 5_000.0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks that go only when they are told to; all the code under test reads them."""
    clocks = Clocks()
    monkeypatch.setattr(time, "time", lambda: clocks.wall)
    monkeypatch.setattr(time, "monotonic", lambda: clocks.running)
    return clocks


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> SteadyServer:
    """A server that was never run: its checks are called by hand."""
    monkeypatch.setattr(steady, "reactor", Mock())
    server = SteadyServer(None, ["tcp:0"], http_timeout=60)
    server.connections = {}
    return server


class Running:
    """An application that runs until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled_at: float | None = None

    async def __call__(self) -> None:
        """Run."""
        await asyncio.get_running_loop().create_future()


def connected(server: SteadyServer, protocol: Any) -> asyncio.Task[None]:
    """Let somebody connect; return the application, which runs until it is cancelled."""
    server.protocol_connected(protocol)
    application = asyncio.create_task(Running()())
    server.connections[protocol]["application_instance"] = application
    return application


def request() -> Any:
    """Return an HTTP request as Daphne makes it, under way."""
    request = WebRequest.__new__(WebRequest)
    request.request_start = time.time()
    request._response_started = False
    request.basic_error = Mock()
    return request


@pytest.fixture(params=[-25, -1, 1, 25], ids=lambda hours: f"{hours:+} h")
def step(request: pytest.FixtureRequest) -> Iterator[float]:
    """How far the wall clock is set, in seconds."""
    yield request.param * HOURS


async def test_an_application_has_its_time_to_end(server: SteadyServer, clocks: Clocks, step: float) -> None:
    """10 seconds after its client has gone it is cancelled: not sooner and not later, wherever the wall clock is set."""
    application = connected(server, client := object())
    server.protocol_disconnected(client)
    clocks.wall += step
    clocks.running += 9.9
    server.application_checker()
    assert not application.cancelling()
    clocks.running += 0.2
    server.application_checker()
    assert application.cancelling()
    await asyncio.wait({application})
    server.application_checker()
    assert not server.connections


async def test_a_request_has_its_time(server: SteadyServer, clocks: Clocks, step: float) -> None:
    """With `--http-timeout 60`: neither cut off by the clock that was set, nor let live by it."""
    one = request()
    application = connected(server, one)
    clocks.wall += step
    clocks.running += 59
    server.timeout_checker()
    assert not one.basic_error.called
    clocks.running += 2
    server.timeout_checker()
    assert one.basic_error.call_args.args[0] == 503
    application.cancel()


async def test_who_is_there_stays(server: SteadyServer, clocks: Clocks, step: float) -> None:
    """No application is cancelled, and nothing forgotten, while its client is there."""
    application = connected(server, SimpleNamespace(check_timeouts=Mock(), __hash__=None) and (one := Client()))
    clocks.wall += step
    clocks.running += 1000
    server.application_checker()
    server.timeout_checker()
    assert not application.cancelling()
    assert one in server.connections
    application.cancel()
