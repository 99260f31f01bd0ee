"""The command `manage.py ticker`: real processes, over a real broker."""

import asyncio
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from clock.process.signals import IGNORED_SIGNALS, STOP_SIGNALS
from testbed.processes import Broker, Program, Ticker, free_port, wait_until
from testbed.subscriber import CHANNEL, Subscriber
from tests.conftest import lines_of, settle
from ticker.management.commands import ticker as module

PUBLISHING, STANDING_BY = "publishing the time", "standing by"
UNAVAILABLE, AVAILABLE = "Redis is unavailable", "Redis is available again"


def test_ticks_are_on_the_boundaries_and_rise(broker: Broker, ticker: Ticker) -> None:
    """As a raw subscriber receives them. Only skipped ticks are missing."""
    ticker.wait_for_output(PUBLISHING)
    subscriber = Subscriber(broker.port, CHANNEL)
    times: list[int] = []
    while len(times) < 100:
        times += [tick.at for tick in subscriber.read()]
    subscriber.close()
    assert all(at % 10 == 0 for at in times)
    assert times == sorted(set(times))
    assert abs(times[-1] - time.time() * 1000) < 60_000


# --- Signals ---


def test_signals_of_a_process(broker: Broker, directory: Path) -> None:
    """SIGTERM stops it gracefully. SIGUSR1 and SIGUSR2 do nothing, nor does SIGHUP if it was ignored, as by nohup.

    The exit code is 0, the last lines have the totals and the reason, and there is no traceback.
    """
    ticker = Ticker(broker.url, directory, CLOCK_NAMESPACE="signals")
    ticker.command = ["/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"', *ticker.command]
    with ticker:
        ticker.wait_for_output(PUBLISHING)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            ticker.signal(number)
        time.sleep(0.1)
        assert ticker.running
        assert ticker.stop() == 0
        *_, totals, last = ticker.output().splitlines()
    assert "stopped after" in totals
    assert "published" in totals
    assert "ticker ended: stopped by SIGTERM" in last
    assert "Traceback" not in ticker.output()


def test_signals_of_a_terminal(broker: Broker, directory: Path) -> None:
    """SIGHUP and SIGQUIT stop a process gracefully, too, the leader as well as a standby."""
    with Ticker(broker.url, directory, CLOCK_NAMESPACE="terminal") as leader:
        leader.wait_for_output(PUBLISHING)
        with Ticker(broker.url, directory, CLOCK_NAMESPACE="terminal") as standby:
            standby.wait_for_output(STANDING_BY)
            for ticker, number in ((standby, signal.SIGQUIT), (leader, signal.SIGHUP)):
                ticker.signal(number)
                assert ticker.wait() == 0
                assert f"ticker ended: stopped by {number.name}" in ticker.output().splitlines()[-1]
                assert "Traceback" not in ticker.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
async def test_signals_that_stop_it(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often they arrive, one timer is started, which ends the process if it does not stop in time."""
    timers: list[tuple[float, bool]] = []

    class FakeTimer:
        daemon = False

        def __init__(self, interval: float, _function: Any) -> None:
            self.interval = interval

        def start(self) -> None:
            timers.append((self.interval, self.daemon))

    monkeypatch.setattr(threading, "Timer", FakeTimer)
    loop = asyncio.get_running_loop()
    handlers = {one: signal.getsignal(one) for one in (*STOP_SIGNALS, *IGNORED_SIGNALS)}
    signal.signal(number, signal.SIG_DFL)  # it may be ignored, if the tests run under nohup
    stopping = asyncio.Event()
    module._handle_signals(stopping)
    try:
        for _ in range(2):
            signal.raise_signal(number)
            async with asyncio.timeout(5):
                await stopping.wait()
            await settle()
        assert timers == [(module.EXIT_TIMEOUT_S, True)]
        assert all(signal.getsignal(one) == signal.SIG_IGN for one in IGNORED_SIGNALS)
    finally:
        for one, handler in handlers.items():
            loop.remove_signal_handler(one)
            signal.signal(one, handler)


# Runs the ticker after some changes to its environment.
ALTERED = """
import os, signal, socket, sys, time
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "tournament.settings"
{changes}
execute_from_command_line(["manage.py", "ticker"])
"""


def altered(changes: str, redis_url: str, directory: Path) -> Program:
    """Return a ticker with changes to its environment."""
    command = [sys.executable, "-c", ALTERED.format(changes=changes)]
    return Program("ticker", command, directory, {"REDIS_URL": redis_url, "CLOCK_NAMESPACE": "altered"})


def test_a_signal_during_the_start_stops_it_gracefully(broker: Broker, directory: Path) -> None:
    """From the first moment in which the event loop runs."""
    changes = """
import channels.layers
get_channel_layer = channels.layers.get_channel_layer
def signal_and_get_channel_layer():
    os.kill(os.getpid(), signal.SIGTERM)
    return get_channel_layer()
channels.layers.get_channel_layer = signal_and_get_channel_layer
"""
    with altered(changes, broker.url, directory) as ticker:
        assert ticker.wait() == 0
        assert "stopped after 0 ticks" in ticker.output()


# --- Clocks and servers that do not work ---


def test_an_invalid_setting(broker: Broker, directory: Path) -> None:
    """The process logs one line and exits with 1."""
    with Ticker(broker.url, directory, CLOCK_TIME_ZONE="Berlin") as ticker:
        assert ticker.wait() == 1
        (line,) = ticker.output().splitlines()
    assert line.startswith("CLOCK_TIME_ZONE='Berlin' is invalid")
    assert "Europe/Berlin" in line


def test_a_clock_out_of_range_at_the_start(broker: Broker, directory: Path) -> None:
    """The process says so in its last line and exits with 1, without a traceback."""
    with altered("time.time_ns = lambda: 2**63 - 1", broker.url, directory) as ticker:
        assert ticker.wait() == 1
        (line,) = (line for line in lines_of(ticker) if "stopped after" not in line)
        assert "this host's clock shows" in line
        assert "set the clock" in line


def test_a_clock_that_leaves_the_range(broker: Broker, directory: Path) -> None:
    """The lease is released, because another ticker may have a better clock."""
    changes = """
from ticker import ticker
time_ns, read = time.time_ns, ticker.Ticker.tick_once
async def tick_once(self):
    if self.published > 20:
        time.time_ns = lambda: -1
    await read(self)
ticker.Ticker.tick_once = tick_once
"""
    with altered(changes, broker.url, directory) as ticker, redis.Redis(port=broker.port) as client:
        ticker.wait_for_output(PUBLISHING)
        assert ticker.wait() == 1
        assert "set the clock" in ticker.output()
        assert "Traceback" not in ticker.output()
        assert not client.exists("altered:lease")


def test_a_clock_that_does_not_advance_does_not_prevent_a_stop(broker: Broker, directory: Path) -> None:
    """It waits for a tick that never comes, is not alive by its own account, and stops on the signal."""
    port = free_port()
    changes = f"""
now = time.time_ns()
time.time_ns = lambda: now
os.environ["CLOCK_TICKER_METRICS_PORT"] = "{port}"
import ticker.metrics
ticker.metrics.MAX_STALL_S = 0.5
"""

    def health() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return client.recv(4_096) + client.recv(4_096)

    with altered(changes, broker.url, directory) as ticker:
        ticker.wait_for_output(PUBLISHING)
        wait_until(lambda: b"no tick published for " in health(), "it says that it does not publish", 5)
        ticker.signal(signal.SIGTERM)
        assert ticker.wait(5) == 0


def test_a_redis_that_hangs_does_not_prevent_a_stop(directory: Path) -> None:
    """Neither of a leader, nor of a ticker that cannot connect."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as leader:
        leader.wait_for_output(PUBLISHING)
        broker.signal(signal.SIGSTOP)
        with Ticker(broker.url, directory) as other:
            other.wait_for_output(UNAVAILABLE)
            for ticker in (leader, other):
                ticker.signal(signal.SIGTERM)
            for ticker in (leader, other):
                assert ticker.wait(5) == 0
                assert "Traceback" not in ticker.output()


@pytest.mark.soak
def test_a_resolver_that_hangs_does_not_prevent_a_stop(directory: Path) -> None:
    """A thread cannot be cancelled. The process exits without waiting for it, with another exit code."""
    changes = """
import ticker.management.commands.ticker as command
command.EXIT_TIMEOUT_S = 1.5
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
"""
    with altered(changes, "redis://elsewhere", directory) as ticker:
        ticker.wait_for_output(UNAVAILABLE)
        ticker.signal(signal.SIGTERM)
        assert ticker.wait(5) == 1
        assert "exiting now" in ticker.output()


def test_hostile_messages_do_not_affect_a_standby(directory: Path) -> None:
    """It still receives ticks, does not ask for the lease all the time, and takes over when the leader stops."""
    with Broker(directory) as broker, redis.Redis(port=broker.port) as client, Ticker(broker.url, directory) as leader:
        leader.wait_for_output(PUBLISHING)
        with Ticker(broker.url, directory) as standby:
            standby.wait_for_output(STANDING_BY)
            for hostile in (b"\x91" * 1000 + b"\x01", b"\xff", b"", b"x" * 100_000):
                client.publish(CHANNEL, hostile)
                time.sleep(0.05)
            wait_until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, "the standby is subscribed")
            client.config_resetstat()
            time.sleep(0.9)
            # Three renewals of the leader, three checks of the standby, and some more.
            assert client.info("commandstats")["cmdstat_eval"]["calls"] <= 3 + 3 + 2
            assert leader.stop() == 0
            standby.wait_for_output(PUBLISHING, seconds=1)


# --- Outages of Redis ---


def test_redis_unavailable_at_the_start_and_restarted(directory: Path) -> None:
    """The ticker waits for Redis, and publishes when it is available. Each change has one line in the log."""
    broker = Broker(directory)
    with Ticker(broker.url, directory) as ticker:
        ticker.wait_for_output(UNAVAILABLE)
        with broker:
            ticker.wait_for_output(PUBLISHING)
            broker.kill()
            ticker.wait_for_output(UNAVAILABLE, times=2)
            time.sleep(1.3)  # until the lease has expired
            broker.start()
            ticker.wait_for_output(PUBLISHING, times=2)
            subscriber = Subscriber(broker.port, CHANNEL)
            wait_until(lambda: bool(subscriber.read()), "ticks")
            subscriber.close()
            lines = lines_of(ticker)
    expected = [UNAVAILABLE, AVAILABLE, PUBLISHING] * 2
    assert len(lines) == len(expected), ticker.output()
    assert all(text in line for text, line in zip(expected, lines, strict=True)), ticker.output()


def test_a_redis_that_refuses(directory: Path) -> None:
    """Because of the password, or because it has too many clients. The ticker waits, and logs the reason.

    It does not log the password.
    """
    with Broker(directory, "--requirepass", "right") as broker:
        with (
            Ticker(f"redis://:sesame@127.0.0.1:{broker.port}", directory) as ticker,
            redis.Redis(port=broker.port, password="right") as admin,
        ):
            ticker.wait_for_output(UNAVAILABLE)
            assert "AuthenticationError" in ticker.output()
            admin.config_set("requirepass", "sesame")
            ticker.wait_for_output(AVAILABLE)
            ticker.wait_for_output(PUBLISHING)

            admin.config_set("maxclients", 1)
            admin.client_kill_filter(_type="normal", skipme=True)  # the ticker's, which then cannot reconnect
            wait_until(lambda: admin.info("stats")["rejected_connections"] > 3, "the ticker retries")
            assert ticker.output().count(UNAVAILABLE) == 2
            assert ticker.output().count(AVAILABLE) == 1
            admin.config_set("maxclients", 100)
            ticker.wait_for_output(AVAILABLE, times=2)
            assert ticker.running
        assert "sesame" not in ticker.output()


@pytest.mark.soak
def test_a_redis_that_is_loading(directory: Path) -> None:
    """It replies LOADING to every command. The ticker waits, and logs the reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve_client(client: socket.socket) -> None:
            with client:
                while client.recv(65_536):
                    client.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve_client, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        with Ticker(f"redis://127.0.0.1:{server.getsockname()[1]}", directory) as ticker:
            ticker.wait_for_output(UNAVAILABLE)
            assert "loading" in ticker.output().lower()
            assert ticker.stop() == 0
        server.shutdown(socket.SHUT_RDWR)


def test_the_benchmark_of_the_ticker_runs(directory: Path) -> None:
    """It prints a row for the ticker and one for the bare loop. Its figures mean nothing during a test run."""
    command = [sys.executable, "-m", "bench.punctuality", "--seconds", "0.5"]
    with Program("punctuality", command, directory) as bench:
        assert bench.wait() in {0, 1}
        assert "\nticker " in bench.output()
        assert "\nbare loop " in bench.output()
