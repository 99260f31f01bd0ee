"""The ticker: what it publishes, and what it does while Redis is away. First in virtual time, then as a process."""

import asyncio
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from zoneinfo import ZoneInfo

import pytest
import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    MaxConnectionsError,
    OutOfMemoryError,
)

from clock.contract import GROUP, Tick
from clock.process.backoff import Backoff
from clock.redis.comparison import RedisClock
from clock.redis.outage import Outage, describe
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.subscriber import CHANNEL, Subscriber
from tests.conftest import lines_of, settle
from tests.ticker.machine import MS, SECOND, Machine
from ticker import ticker as module
from ticker.host_clock import HostClock
from ticker.lease import Lease
from ticker.publisher import PATIENCE, REHEARSAL_GROUP, Publisher
from ticker.standby import Standby


class Layer:
    """A channel layer that takes note of what it is given, and does first what it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.before: Callable[[str], None] = lambda _group: None
        self.flushed = False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Take a message."""
        self.before(group)
        self.sent.append((group, message))

    async def flush(self) -> None:
        """Let go."""
        self.flushed = True

    async def new_channel(self) -> str:
        """Let itself be listened to."""
        return "channel"

    async def group_add(self, group: str, channel: str) -> None:
        """Do nothing."""

    async def receive(self, _channel: str) -> None:
        """Say nothing."""
        await asyncio.Event().wait()

    def ticks(self) -> list[Tick]:
        """Return the ticks that came."""
        return [Tick.from_message(message) for group, message in self.sent if group == GROUP]

    def times(self) -> list[int]:
        """Return their times."""
        return [tick.at for tick in self.ticks()]


class Permit(Lease):
    """A lease that needs no Redis: it is taken if it is free, and lasts until it is withdrawn."""

    def __init__(self) -> None:
        super().__init__(Mock(side_effect=AssertionError), "clock")
        self.term = 1
        self.valid = True
        self.free = True
        self.extended = 0

    def is_valid(self) -> bool:
        """Return whether it has not been withdrawn."""
        return self.valid

    def is_due(self) -> bool:
        """Never: there is nothing to extend."""
        return False

    async def take(self, heard_term: int) -> bool:
        """Take it, with a term above all that are known."""
        if self.free:
            self.valid, self.term = True, max(self.term, heard_term) + 1
        return self.free

    async def release(self) -> None:
        """Let it go."""
        self.valid = False


class Rig:
    """A ticker that leads, on a machine and a layer that do as they are told."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.layer = Layer()
        self.lease = Permit()

        def now() -> float:
            return self.machine.running / SECOND

        def wall() -> float:
            return self.machine.wall / SECOND

        self.outage = Outage(Backoff(0.05, 1.0), now)
        self.standby = Standby(self.layer, 250, wall=wall, now=now)
        self.redis_clock = RedisClock(Mock(side_effect=AssertionError), now)
        self.host_clock = HostClock(lambda: None)
        publisher = Publisher(self.layer, ZoneInfo("UTC"), self.outage, self.redis_clock, self.host_clock)
        self.ticker = module.Ticker(self.machine.metronome(), publisher, self.lease, self.standby)

    async def tick(self, count: int) -> None:
        """Let it tick so many times."""
        for _ in range(count):
            await self.ticker.tick_once()

    async def lead_after(self, heard: Tick) -> list[Tick]:
        """Let it hear a tick and then lead; return the first three ticks it publishes."""
        self.standby.take([heard.message()])
        await self.lease.take(heard.term)
        before = len(self.layer.ticks())
        self.layer.before = lambda _group: self.ticker.stop() if len(self.layer.ticks()) >= before + 2 else None
        await self.ticker._lead()
        return self.layer.ticks()[before:]

    def fail(self, error: Exception) -> None:
        """Have the layer raise from now on."""

        def raise_it(_group: str) -> None:
            raise error

        self.layer.before = raise_it


async def test_every_tick_is_published_with_its_frame() -> None:
    """One message a tick: its time, its text, its term and step."""
    rig = Rig()
    await rig.tick(3)
    assert rig.layer.times() == [1_795_351_680_010, 1_795_351_680_020, 1_795_351_680_030]
    message = rig.layer.sent[-1][1]
    assert json.loads(message["frame"]) == {"message": "2026-11-22 12:48:00.03", "at": 1_795_351_680_030}
    assert (message["term"], message["step"]) == (1, 0)
    assert (rig.ticker.published, rig.ticker.unpublished) == (3, 0)


async def test_each_tick_is_rehearsed_shortly_before() -> None:
    """The rehearsal goes to a group that nobody is in, at most 2 ms before the boundary."""
    rig = Rig()
    moments: list[tuple[str, int]] = []
    rig.layer.before = lambda group: moments.append((group, rig.machine.wall % (10 * MS)))
    await rig.tick(2)
    assert [group for group, _ in moments] == [REHEARSAL_GROUP, GROUP] * 2
    assert all(8 * MS <= moment < 10 * MS for group, moment in moments if group == REHEARSAL_GROUP)
    assert all(moment == 0 for group, moment in moments if group == GROUP)


async def test_when_the_clock_is_set_the_ticks_say_so() -> None:
    """`step` rises by one, and stays; and what was known of the clock is not told any more."""
    rig = Rig()
    rig.redis_clock._server = "the one"
    now = rig.redis_clock._clock()
    rig.redis_clock._interval.learn(now, now, now)
    await rig.tick(1)
    assert rig.layer.ticks()[-1].server == "the one"
    rig.machine.set_wall_clock(-3_600 * SECOND)
    await rig.tick(2)
    assert [tick.step for tick in rig.layer.ticks()] == [0, 1, 1]
    assert rig.layer.ticks()[-1].server == ""


# --- Leading ---


async def test_without_the_lease_nothing_is_published() -> None:
    """It is looked at when the tick is due, and not before: a process that was suspended finds out in time."""
    rig = Rig()
    await rig.tick(1)

    def withdraw() -> None:
        rig.lease.valid = False

    rig.machine.after(5 * MS, withdraw)
    await rig.tick(1)
    assert len(rig.layer.times()) == 1


@pytest.mark.parametrize("offset_ms", [-30, 0, 30])
async def test_a_standby_goes_on_above_what_it_heard(offset_ms: int) -> None:
    """Whether its clock is behind the leader's or ahead; with the next term and the same step."""
    rig = Rig()
    at = (rig.machine.wall // MS + offset_ms) // 10 * 10
    ticks = await rig.lead_after(Tick(at, "heard", term=7, step=2))
    assert [(tick.term, tick.step) for tick in ticks] == [(8, 2)] * 3
    assert [tick.at - ticks[0].at for tick in ticks] == [0, 10, 20]
    assert ticks[0].at == max(at, 1_795_351_680_000) + 10


async def test_a_clock_that_is_far_behind_is_a_step() -> None:
    """It cannot wait for an hour, and a time that goes back must be said to."""
    rig = Rig()
    at = rig.machine.wall // MS // 10 * 10 + 3_600_000
    ticks = await rig.lead_after(Tick(at, "heard", term=7, step=2))
    assert [(tick.at, tick.term, tick.step) for tick in ticks[:1]] == [(1_795_351_680_010, 8, 3)]


@pytest.mark.parametrize("at", [0, 1_795_351_680_000 - 3_600_000, 253_402_214_399_990])
@pytest.mark.parametrize("step", [0, module.MAX_HEARD_STEP, 2**53 - 1, 2**64 - 1])
async def test_a_forged_tick_can_keep_nobody_from_telling_the_time(at: int, step: int) -> None:
    """Whatever it says was the last: the next leader begins at once, with a step that has room to rise."""
    rig = Rig()
    ticks = await rig.lead_after(Tick(at, "forged", term=7, step=step))
    assert ticks[0].at == 1_795_351_680_010
    assert ticks[0].step <= module.MAX_HEARD_STEP + 1


async def test_a_renewal_that_fails_unforeseen_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback in the log; the ticks go on as long as the lease is valid."""
    rig = Rig()
    rig.lease.is_due = lambda: True  # type: ignore[method-assign]
    rig.lease.extend = Mock(side_effect=[AttributeError("a bug"), True])  # type: ignore[method-assign]
    await rig.tick(3)
    await asyncio.sleep(0.2)
    await rig.standby.supervisor.stop()
    assert rig.lease.extend.call_count >= 2
    assert len(rig.layer.times()) == 3
    assert "'renewal' failed" in caplog.text


async def test_a_lease_that_needs_memory_stops_no_tick() -> None:
    """Redis out of memory refuses that, and takes ticks."""
    rig = Rig()
    rig.lease.is_due = lambda: True  # type: ignore[method-assign]
    rig.lease.extend = AsyncMock(side_effect=OutOfMemoryError("command not allowed"))  # type: ignore[method-assign]
    for _ in range(20):
        await rig.tick(1)
        await settle()
    assert len(rig.layer.times()) == 20
    assert rig.outage.since is None


async def test_where_redis_keeps_no_lease_the_leader_listens() -> None:
    """And gives up when it hears a higher term; else it leads on, and listens no more when Redis keeps the lease."""
    rig = Rig()
    due = iter([True, False, True, False, True])
    rig.lease.is_due = lambda: next(due, False)  # type: ignore[method-assign]
    rig.lease.extend = AsyncMock()  # type: ignore[method-assign]
    rig.lease.give_up = lambda: setattr(rig.lease, "valid", False)  # type: ignore[method-assign]
    for kept in (False, True, False):
        rig.lease.is_kept = kept
        await rig.tick(1)
        await settle()
        assert rig.standby.is_listening is not kept
        await rig.tick(1)
    rig.standby.take([Tick(10, "own", term=1).message() for _ in range(10)])
    await rig.tick(1)
    assert rig.lease.is_valid()
    rig.standby.take([Tick(10, "another's", term=2).message() for _ in range(10)])
    await rig.tick(1)
    assert not rig.lease.is_valid()
    await rig.standby.stop()


async def test_who_leads_again_goes_on_above_its_own_ticks() -> None:
    """Also where its clock was set back while it was not allowed to publish."""
    rig = Rig()
    await rig.tick(3)
    rig.machine.set_wall_clock(-100 * MS)
    ticks = await rig.lead_after(Tick(1, "long ago", term=0))
    assert ticks[0].at == 1_795_351_680_040
    assert ticks[0].step == 0


# --- Redis away ---


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Error 111 connecting to 127.0.0.1:6379."),
        ConnectionRefusedError(111, "refused"),
        BusyLoadingError("loading"),
        AuthenticationError("wrong password"),
        MaxConnectionsError("max number of clients reached"),
        TimeoutError(),
    ],
)
async def test_while_redis_is_away_it_says_so_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A line when it goes and one when it is back, with how long it was; and the ticks go on where they should be."""
    caplog.set_level("INFO")
    rig = Rig()
    await rig.tick(5)
    caplog.clear()
    rig.fail(error)
    await rig.tick(1_000)  # ten seconds
    rig.layer.before = lambda _group: None
    await rig.tick(200)
    away, back = (record.getMessage() for record in caplog.records)
    assert away.startswith("Redis is away")
    assert type(error).__name__ in away
    assert "\n" not in away
    assert back.startswith("Redis is back after 1")
    assert len(rig.layer.times()) == rig.ticker.published
    assert rig.ticker.published + rig.ticker.unpublished == 1_205
    assert rig.layer.times()[-1] == 1_795_351_680_000 + 1_205 * 10


def test_an_error_is_one_line() -> None:
    """Its kind, and the first line of what it says; a timeout says nothing of its own."""
    assert describe(ConnectionError("refused\nby the host")) == "ConnectionError: refused"
    assert describe(TimeoutError()) == "TimeoutError: no answer in time"
    assert describe(OSError()) == "OSError: no further word"


async def test_attempts_are_spaced_out() -> None:
    """Twice as long each time, to a second: an hour of outage is some 3,600 attempts and not 360,000."""
    rig = Rig()
    attempts: list[float] = []

    def refuse(_group: str) -> None:
        attempts.append(rig.machine.running / SECOND)
        raise ConnectionError

    rig.layer.before = refuse
    await rig.tick(2_000)
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert pauses[-1] == pytest.approx(1.0, abs=0.011)
    assert len(attempts) < 30


async def test_what_a_slow_redis_costs_is_not_put_down_to_the_machine() -> None:
    """An answer that takes 35 ms loses ticks, but none that the metronome skipped; then the newest goes out."""
    rig = Rig()
    await rig.tick(1)
    rig.layer.before = lambda group: rig.machine.stall(35 * MS) if group == GROUP else None
    await rig.tick(1)
    rig.layer.before = lambda _group: None
    await rig.tick(2)
    start = 1_795_351_680_000
    assert [at - start for at in rig.layer.times()] == [10, 20, 50, 60]
    assert rig.ticker.unpublished == 2
    assert rig.ticker._metronome.count.skipped == 0


async def test_a_redis_that_does_not_answer_is_given_up() -> None:
    """After PATIENCE the wait ends, and counts as an outage."""
    rig = Rig()
    never = asyncio.Event()

    async def hang(_group: str, _message: dict[str, Any]) -> None:
        await never.wait()

    rig.layer.group_send = hang  # type: ignore[method-assign]
    start = time.monotonic()
    await rig.tick(1)
    assert time.monotonic() - start >= PATIENCE
    assert rig.outage.since is not None


async def test_skips_are_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A busy machine does not fill the log: three stalls within a minute are one line."""
    rig = Rig()
    await rig.tick(6_001)
    caplog.clear()
    for _ in range(3):
        rig.machine.after(4 * MS, lambda: rig.machine.stall(35 * MS))
        await rig.tick(100)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "skipped" in messages[0]
    await rig.tick(6_001)
    assert len(caplog.records) == 2


# --- From here on it is the real command, and a real broker. ---


def test_the_command_publishes_ten_milliseconds_apart(broker: Broker, ticker: Ticker) -> None:
    """What arrives at a raw subscriber lies on the boundaries, rises, and is missing only what was skipped."""
    ticker.wait_for_output("publishing the time")
    subscriber = Subscriber(broker.port, CHANNEL)
    times: list[int] = []
    while len(times) < 200:
        times += [heard.at for heard in subscriber.read()]
    subscriber.close()
    assert all(at % 10 == 0 for at in times)
    assert times == sorted(set(times))
    assert abs(times[-1] - time.time() * 1000) < 60_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_cleanly(broker: Broker, directory: Path, number: signal.Signals) -> None:
    """Exit code 0, its figures in the last line, no traceback, and no connection left."""
    with Ticker(broker.url, directory, CLOCK_NAMESPACE=f"ended-by-{number.name}") as ticker:
        ticker.wait_for_output("publishing the time")
        ticker.signal(number)
        assert ticker.wait() == 0
        last = ticker.output().splitlines()[-1]
    assert "stopped after" in last
    assert "published" in last
    assert "Traceback" not in ticker.output()


def test_signals_that_do_not_end_it(broker: Broker, directory: Path) -> None:
    """SIGUSR1 and SIGUSR2; and SIGHUP, if it was started with that ignored, as by nohup."""
    with Ticker(broker.url, directory, CLOCK_NAMESPACE="not-ended") as ticker:
        ticker.kill()
        ticker.command = ["/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"', *ticker.command]
        ticker.start()
        ticker.wait_for_output("publishing the time")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            ticker.signal(number)
        time.sleep(0.2)
        assert ticker.running
        assert ticker.stop() == 0


# Runs the ticker after some changes to what it finds.
ALTERED = """
import os, signal, socket, sys, time
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "tournament.settings"
{changes}
execute_from_command_line(["manage.py", "ticker"])
"""


def altered(changes: str, redis_url: str, directory: Path) -> Program:
    """Return a ticker that finds something changed."""
    command = [sys.executable, "-c", ALTERED.format(changes=changes)]
    return Program("ticker", command, directory, {"REDIS_URL": redis_url, "CLOCK_NAMESPACE": "altered"})


def test_a_signal_while_it_starts(broker: Broker, directory: Path) -> None:
    """From the first moment in which the loop runs, it ends in good order."""
    changes = """
import channels.layers
get_channel_layer = channels.layers.get_channel_layer
def get_and_be_told_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)
    return get_channel_layer()
channels.layers.get_channel_layer = get_and_be_told_to_stop
"""
    with altered(changes, broker.url, directory) as ticker:
        assert ticker.wait() == 0
        assert "stopped after 0 ticks" in ticker.output()


@pytest.mark.parametrize("nanoseconds", [-1, 2**63 - 1])
def test_an_impossible_clock_ends_it(broker: Broker, directory: Path, nanoseconds: int) -> None:
    """One line that says so, exit code 1, no traceback."""
    with altered(f"time.time_ns = lambda: {nanoseconds}", broker.url, directory) as ticker:
        assert ticker.wait() == 1
        lines = [line for line in lines_of(ticker) if "stopped after" not in line]
        assert len(lines) == 1, ticker.output()
        assert "this host's clock shows" in lines[0]
        assert "set it right" in lines[0]


def test_a_clock_that_becomes_impossible_ends_it(broker: Broker, directory: Path) -> None:
    """The lease is released, for another ticker may have a better clock."""
    changes = """
began, time_ns = time.monotonic(), time.time_ns
time.time_ns = lambda: time_ns() if time.monotonic() < began + 2 else -1
"""
    with altered(changes, broker.url, directory) as ticker, redis.Redis(port=broker.port) as client:
        ticker.wait_for_output("publishing the time")
        assert ticker.wait() == 1
        assert "set it right" in ticker.output()
        assert "Traceback" not in ticker.output()
        assert not client.exists("altered:lease")


def test_a_clock_that_stands_still_does_not_keep_it_from_stopping(broker: Broker, directory: Path) -> None:
    """It waits for the next tick, which does not come; the signal does."""
    changes = """
now = time.time_ns()
time.time_ns = lambda: now
"""
    with altered(changes, broker.url, directory) as ticker:
        ticker.wait_for_output("publishing the time")
        ticker.signal(signal.SIGTERM)
        assert ticker.wait(5) == 0


def test_a_redis_that_hangs_does_not_keep_it_from_stopping(directory: Path) -> None:
    """Whether it leads, or cannot even connect."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as leader:
        leader.wait_for_output("publishing the time")
        broker.signal(signal.SIGSTOP)
        with Ticker(broker.url, directory) as other:
            other.wait_for_output("Redis is away")
            for ticker in (leader, other):
                ticker.signal(signal.SIGTERM)
                assert ticker.wait(5) == 0
                assert "Traceback" not in ticker.output()


def test_a_resolver_that_hangs_does_not_keep_it_from_stopping(directory: Path) -> None:
    """No thread can be cancelled: it ends without waiting for that, and says so by its exit code."""
    with altered("socket.getaddrinfo = lambda *_, **__: time.sleep(60)", "redis://elsewhere", directory) as ticker:
        ticker.wait_for_output("Redis is away")
        ticker.signal(signal.SIGTERM)
        assert ticker.wait(6) == 1
        assert "ending at once" in ticker.output()


def test_hostile_messages_leave_the_standby_as_it_was(directory: Path) -> None:
    """It is not deaf, does not ask for the lease all the time, and leads when it is its turn."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as leader, redis.Redis(port=broker.port) as client:
        leader.wait_for_output("publishing the time")
        with Ticker(broker.url, directory) as standby:
            standby.wait_for_output("standing by")
            for hostile in (b"\x91" * 1000 + b"\x01", b"\xff", b"", b"x" * 100_000):
                client.publish(CHANNEL, hostile)
                time.sleep(0.1)
            wait_until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, "the standby listens")
            client.config_resetstat()
            time.sleep(1)
            assert client.info("commandstats")["cmdstat_eval"]["calls"] <= 3 + 4 + 2  # renewals, looks; and some more
            assert leader.stop() == 0
            standby.wait_for_output("publishing the time", seconds=1)


def test_redis_absent_at_the_start(directory: Path) -> None:
    """It waits for Redis, says so in one line, and begins by itself when Redis comes."""
    broker = Broker(directory)
    with Ticker(broker.url, directory) as ticker, broker:
        broker.kill()
        ticker.wait_for_output("Redis is away")
        broker.start()
        ticker.wait_for_output("publishing the time")
        assert ticker.running
        assert len(lines_of(ticker)) == 3, ticker.output()


def test_redis_restarted(directory: Path) -> None:
    """One line when it goes, one when it is back, and ticks again."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker:
        ticker.wait_for_output("publishing the time")
        broker.kill()
        ticker.wait_for_output("Redis is away")
        time.sleep(1.3)  # until its lease has run out
        broker.start()
        ticker.wait_for_output("publishing the time", times=2)
        subscriber = Subscriber(broker.port, CHANNEL)
        wait_until(lambda: bool(subscriber.read()), "ticks")
        subscriber.close()
        assert len(lines_of(ticker)) == 4, ticker.output()


def test_a_wrong_password(directory: Path) -> None:
    """The line names the trouble and not the password; nothing ends."""
    with Broker(directory, "--requirepass", "right") as broker:
        url = f"redis://:sesame@127.0.0.1:{broker.port}"
        with Ticker(url, directory) as ticker:
            ticker.wait_for_output("Redis is away")
            assert "AuthenticationError" in ticker.output()
            assert "sesame" not in ticker.output()
            with redis.Redis(port=broker.port, password="right") as admin:
                admin.config_set("requirepass", "sesame")
            ticker.wait_for_output("Redis is back")


def test_too_many_clients(directory: Path) -> None:
    """It waits until there is room."""
    with Broker(directory, "--maxclients", "4") as broker:
        crowd: list[socket.socket] = []
        wait_until(lambda: not has_room(broker, crowd) and not has_room(broker, crowd), "it is full")
        with Ticker(broker.url, directory) as ticker:
            ticker.wait_for_output("Redis is away")
            for client in crowd:
                client.close()
            ticker.wait_for_output("Redis is back")


def has_room(broker: Broker, crowd: list[socket.socket]) -> bool:
    """Return whether the broker takes in one more, who joins the crowd."""
    client = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
    crowd.append(client)
    client.sendall(b"PING\r\n")
    try:
        return client.recv(100).startswith(b"+PONG")
    except ConnectionError:
        return False


def test_a_redis_that_is_loading(directory: Path) -> None:
    """To every command the answer is LOADING: it waits, and says so once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(client: socket.socket) -> None:
            with client:
                while client.recv(65_536):
                    client.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        with Ticker(f"redis://127.0.0.1:{server.getsockname()[1]}", directory) as ticker:
            ticker.wait_for_output("Redis is away")
            assert "loading" in ticker.output().lower()
            assert ticker.stop() == 0
        server.shutdown(socket.SHUT_RDWR)


def test_a_bad_setting_stops_the_start(directory: Path) -> None:
    """One line that names the variable and what it takes, exit code 1, no traceback."""
    with Ticker("redis://127.0.0.1", directory, CLOCK_TIME_ZONE="Berlin") as ticker:
        assert ticker.wait() == 1
        (line,) = ticker.output().splitlines()
    assert line.startswith("CLOCK_TIME_ZONE='Berlin'")
    assert "Europe/Berlin" in line


def test_the_bare_loop_is_the_benchmarks(directory: Path) -> None:
    """The README's command runs, and prints a row for each."""
    command = [sys.executable, "-m", "bench.punctuality", "--seconds", "1"]
    with Program("punctuality", command, directory) as bench:
        assert bench.wait() in {0, 1}  # how punctual it is under a test run is not asked here
        assert "\nticker " in bench.output()
        assert "\nbare loop " in bench.output()
