"""Daphne's server when the wall clock is set, and while it stops."""

import asyncio
import subprocess
import sys
import time
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from daphne.http_protocol import WebRequest

from clock.process.supervisor import Supervisor
from testbed.processes import ROOT
from tournament.server.adapter.daphne_server import DaphneServer
from tournament.server.adapter.websocket import CONNECTING, OPEN

HOURS = 3600.0


class Clocks:
    """The two clocks of a machine, in seconds."""

    def __init__(self) -> None:
        self.wall = 1_795_351_680.0
        self.running = 5_000.0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks that the test moves, which all code under test reads."""
    clocks = Clocks()
    monkeypatch.setattr(time, "time", lambda: clocks.wall)
    monkeypatch.setattr(time, "monotonic", lambda: clocks.running)
    return clocks


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> DaphneServer:
    """A server that is not running: the test calls its checks."""
    return DaphneServer(None, ["tcp:0"], events=Mock(), http_rules=Mock(), supervisor=Supervisor(), http_timeout=60)


async def run_for_ever() -> None:
    """Run like an application whose client stays connected."""
    await asyncio.get_running_loop().create_future()


def connected(server: DaphneServer, protocol: Any) -> asyncio.Task[None]:
    """Connect a client; return its application, which runs until it is cancelled."""
    server.protocol_connected(protocol)
    application = asyncio.create_task(run_for_ever())
    server.connections[protocol]["application_instance"] = application
    return application


def request_to(server: DaphneServer) -> Any:
    """Return an HTTP request in progress, as Daphne makes it."""
    request = WebRequest.__new__(WebRequest)
    request.server = server
    request.request_start = time.time()
    request._response_started = False
    request.basic_error = Mock()
    return request


@pytest.fixture(params=[-25, -1, 1, 25], ids=lambda hours: f"{hours:+} h")
def step(request: pytest.FixtureRequest) -> float:
    """How far the wall clock is set, in seconds."""
    return float(request.param * HOURS)


async def test_an_application_has_time_to_end(server: DaphneServer, clocks: Clocks, step: float) -> None:
    """It is cancelled 10 s after its client has disconnected, whatever the wall clock does."""
    application = connected(server, client := Mock())
    server.protocol_disconnected(client)
    clocks.wall += step
    clocks.running += 9.9
    server.check_applications()
    assert not application.cancelling()
    clocks.running += 0.2
    server.check_applications()
    assert application.cancelling()
    await asyncio.wait({application})
    server.check_applications()
    assert not server.connections


async def test_the_time_limit_of_a_request(server: DaphneServer, clocks: Clocks, step: float) -> None:
    """With `--http-timeout 60` a request is answered with 503 after 60 s, whatever the wall clock does."""
    one = request_to(server)
    application = connected(server, one)
    clocks.wall += step
    clocks.running += 59
    server.check_timeouts()
    assert not one.basic_error.called
    clocks.running += 2
    server.check_timeouts()
    assert one.basic_error.call_args.args[0] == 503
    application.cancel()


async def test_a_connected_client_is_not_affected(server: DaphneServer, clocks: Clocks, step: float) -> None:
    """No application is cancelled or forgotten while its client is connected."""
    application = connected(server, client := Mock())
    clocks.wall += step
    clocks.running += 1000
    server.check_applications()
    server.check_timeouts()
    assert not application.cancelling()
    assert client in server.connections
    application.cancel()


def websocket(state: int) -> Mock:
    """Return a WebSocket in a state of Autobahn's."""
    return Mock(state=state, STATE_CONNECTING=CONNECTING)


async def test_the_time_limit_of_a_handshake(server: DaphneServer, clocks: Clocks, step: float) -> None:
    """If the application has not answered it after 5 s, it is refused, whatever the wall clock does."""
    server.websocket_connect_timeout = 5
    application = connected(server, client := websocket(CONNECTING))
    clocks.wall += step
    clocks.running += 4.9
    server.check_timeouts()
    assert not client.serverReject.called
    clocks.running += 0.2
    server.check_timeouts()
    assert client.serverReject.called
    application.cancel()


@pytest.mark.parametrize(("limit", "closed"), [(-1, False), (100, False), (0, True), (50, True)])
async def test_daphnes_limit_on_the_duration_of_a_connection(
    server: DaphneServer, clocks: Clocks, step: float, limit: float, *, closed: bool
) -> None:
    """A negative limit is off, and any other follows the monotonic clock. No pings are sent as Daphne's checks do."""
    server.websocket_timeout = limit
    application = connected(server, client := websocket(OPEN))
    server.established(client)
    clocks.wall += step
    clocks.running += 60
    server.check_timeouts()
    assert client.serverClose.called is closed
    assert not client.check_timeouts.called
    assert not client._sendAutoPing.called
    application.cancel()


@pytest.mark.parametrize("limit", [-1, 86_400])
async def test_an_established_websocket_is_not_checked(server: DaphneServer, limit: float) -> None:
    """Unless Daphne limits its duration: the checks of a crowd would make ticks late. It is checked once it leaves."""
    server.websocket_timeout = limit
    application = connected(server, client := websocket(OPEN))
    server.established(client)
    assert bool(server._to_check) is (limit >= 0)
    server.protocol_disconnected(client)
    application.cancel()
    await asyncio.wait({application})
    server.check_applications()
    assert not server.connections
    assert not server._to_check


async def test_an_exception_of_an_established_websocket_is_reported(
    server: DaphneServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its application is checked again as soon as it fails."""

    async def fail() -> None:
        raise ValueError("oh no")

    server.protocol_connected(client := Mock())
    server.established(client)
    server.connections[client]["application_instance"] = task = asyncio.create_task(fail())
    task.add_done_callback(partial(server.application_ended, client))
    await asyncio.wait({task})
    await asyncio.sleep(0)
    server.check_applications()
    assert [record.getMessage() for record in caplog.records] == ["exception inside the application: oh no"]
    assert client.handle_exception.call_count == 1


def test_twisted_timers_follow_the_monotonic_clock() -> None:
    """Among them are Daphne's checks, and the time limits of handshakes and idle connections."""
    program = (
        "import time; from tournament.server.adapter.reactor import install; install();"
        "from twisted.internet import reactor;"
        "print(reactor.callLater(60, print).getTime() - time.monotonic())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert float(done.stdout) == pytest.approx(60, abs=5)


# --- The end of an application ---


async def test_an_exception_is_reported_once(server: DaphneServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and the client is told while it is connected."""

    async def fail() -> None:
        raise ValueError("oh no")

    client, gone = Mock(), Mock()
    for one in (client, gone):
        server.protocol_connected(one)
        server.connections[one]["application_instance"] = task = asyncio.create_task(fail())
        await asyncio.wait({task})
    server.protocol_disconnected(gone)
    server.check_applications()
    server.check_applications()
    assert [record.getMessage() for record in caplog.records] == ["exception inside the application: oh no"] * 2
    assert client.handle_exception.call_count == 1
    assert not gone.handle_exception.called
    assert list(server.connections) == [client]


async def test_shutdown_cancels_the_applications_that_are_left(server: DaphneServer) -> None:
    """Daphne's own fails on a connection whose application has ended or has not started."""
    application = connected(server, Mock())
    server.protocol_connected(Mock())  # a request that was upgraded, or is not complete
    ended = connected(server, Mock())
    ended.cancel()
    await asyncio.wait({ended})
    waiting = server.kill_all_applications()
    await waiting.asFuture(asyncio.get_running_loop())
    assert application.cancelled()
    assert server.kill_all_applications() is None
