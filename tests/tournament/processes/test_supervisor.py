"""The supervisor, in virtual time: workers that start, end, stand still and are replaced."""

import signal
import socket
from collections.abc import Callable, Iterable, Iterator

import pytest

from clock.process.restart_policy import GIVE_UP_AFTER_S
from tests.tournament.processes.fake_process import FakeProcess, FakeWorkers
from tournament.processes.balance import CHECK_INTERVAL_S, SILENT_AFTER_S
from tournament.processes.child import SILENCE_TIMEOUT_S, START_TIMEOUT_S, Child
from tournament.processes.link import DRAIN
from tournament.processes.supervisor import FIRST_PAUSE_S, READY_TIMEOUT_S, Supervisor


class FakeDispatcher:
    """Remembers what the supervisor asked for."""

    def __init__(self, children: Callable[[], Iterable[Child]]) -> None:
        self.children = children
        self.kept: list[socket.socket] = []
        self.is_started = False
        self.is_closed = False

    def start(self) -> None:
        """Accept."""
        self.is_started = True

    def keep(self, connections: Iterable[socket.socket]) -> None:
        """Keep connections."""
        self.kept += connections

    def close(self) -> None:
        """Listen no more."""
        self.is_closed = True


class Clock:
    """A supervisor whose time passes only in `run`, and its workers."""

    def __init__(self, count: int) -> None:
        self.time = 1000.0
        self.workers = FakeWorkers()
        self.supervisor = Supervisor(count, self.workers.start, self._make_dispatcher, now=lambda: self.time)
        self.frozen: set[int] = set()  # the ids of processes that stand still
        self.unready: set[int] = set()

    def _make_dispatcher(self, children: Callable[[], Iterable[Child]]) -> FakeDispatcher:
        self.dispatcher = FakeDispatcher(children)
        return self.dispatcher

    def run(self, seconds: float, *, reports: bool = True) -> None:
        """Let time pass. Workers receive and report, unless they stand still."""
        for _ in range(round(seconds / CHECK_INTERVAL_S)):
            self.time += CHECK_INTERVAL_S
            for process in self.workers.running:
                if reports and process.pid not in self.frozen:
                    process.receive()
                    process.report(is_ready=process.pid not in self.unready)
            self.supervisor.check()

    @property
    def running(self) -> list[FakeProcess]:
        """The processes that run."""
        return self.workers.running

    def close(self) -> None:
        """Close all sockets."""
        for child in self.supervisor.children():
            child.close()
        for connection in self.dispatcher.kept:
            connection.close()
        self.workers.close()


@pytest.fixture
def new_clock() -> Iterator[Callable[[int], Clock]]:
    """Makes a supervisor of so many workers."""
    clocks: list[Clock] = []

    def make(count: int) -> Clock:
        clocks.append(Clock(count))
        return clocks[-1]

    yield make
    for clock in clocks:
        clock.close()


@pytest.fixture
def clock(new_clock: Callable[[int], Clock]) -> Clock:
    """A supervisor whose two workers serve."""
    clock = new_clock(2)
    clock.run(1)
    return clock


def send(clock: Clock, process: FakeProcess) -> socket.socket:
    """Send a connection to a worker, and return the client's end."""
    client, accepted = socket.socketpair()
    (child,) = (one for one in clock.supervisor.children() if f"process {process.pid})" in str(one))
    with accepted:
        assert child.send(accepted, 1)
    return client


# --- Start and restart ---


def test_the_first_worker_starts_alone(new_clock: Callable[[int], Clock]) -> None:
    """The others start when it has reported, and only then connections are accepted."""
    clock = new_clock(3)
    clock.run(1, reports=False)
    assert [process.number for process in clock.running] == [1]
    assert not clock.dispatcher.is_started
    clock.run(0.2)
    assert [process.number for process in clock.running] == [1, 2, 3]
    assert clock.dispatcher.is_started


@pytest.mark.parametrize("code", [1, 2, 0, -11])
def test_a_worker_that_ends_before_it_served_ends_all(new_clock: Callable[[int], Clock], code: int) -> None:
    """A setting is invalid, and the worker has said so: it is not started again, and the exit code is 1."""
    clock = new_clock(2)
    clock.run(0.5, reports=False)
    clock.running[0].exit_code = code
    clock.run(0.2, reports=False)
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 1
    assert len(clock.workers.started) == 1


@pytest.mark.parametrize("code", [1, 0, -9])
def test_a_worker_that_ends_is_restarted(clock: Clock, code: int) -> None:
    """Whatever its exit code, after a short pause, under the same number."""
    clock.running[0].exit_code = code
    clock.run(CHECK_INTERVAL_S)
    assert [process.number for process in clock.running] == [2]
    clock.run(FIRST_PAUSE_S + CHECK_INTERVAL_S)
    assert sorted(process.number for process in clock.running) == [1, 2]
    assert not clock.supervisor.is_over


def test_the_pauses_before_restarts_grow(clock: Clock) -> None:
    """A worker that ends again and again does not keep the host busy."""
    for _ in range(600):
        for process in clock.running[1:]:
            process.exit_code = 1
        clock.run(CHECK_INTERVAL_S)
    assert 10 < len(clock.workers.started) < 25
    assert not clock.supervisor.is_over, "the other one serves"


def test_it_gives_up_when_no_worker_can_serve(clock: Clock) -> None:
    """After a minute of restarts that fail it exits with 1, so that whatever started it notices."""
    for _ in range(round((GIVE_UP_AFTER_S + 10) / CHECK_INTERVAL_S)):
        for process in clock.running:
            process.exit_code = 1
        clock.run(CHECK_INTERVAL_S)
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 1


def test_a_system_that_refuses_a_process_is_asked_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor and the other worker go on."""

    def refuse(*_: object) -> FakeProcess:
        raise OSError(11, "Resource temporarily unavailable")

    start = clock.supervisor._start
    monkeypatch.setattr(clock.supervisor, "_start", refuse)
    clock.running[0].exit_code = 1
    clock.run(3)
    assert len(clock.running) == 1
    monkeypatch.setattr(clock.supervisor, "_start", start)
    clock.run(6)
    assert len(clock.running) == 2


# --- Silence ---


def test_a_worker_that_stands_still_is_left_alone_at_first(clock: Clock) -> None:
    """It gets nothing while it is silent; its viewers stay with it; when it reports it serves again."""
    frozen = clock.running[0]
    clock.frozen = {frozen.pid}
    clock.run(SILENT_AFTER_S + CHECK_INTERVAL_S)
    assert [child.standing.is_live for child in clock.supervisor.children()] == [False, True]
    clock.run(SILENCE_TIMEOUT_S / 2)
    clock.frozen = set()
    clock.run(0.2)
    assert all(child.standing.is_ready for child in clock.supervisor.children())
    assert frozen in clock.running
    assert frozen.signals == []


def test_connections_that_a_silent_worker_has_not_received_go_to_others(clock: Clock) -> None:
    """They are as they were, and the worker does not get them later."""
    frozen = clock.running[0]
    clock.frozen = {frozen.pid}
    with send(clock, frozen) as client:
        clock.run(SILENT_AFTER_S + CHECK_INTERVAL_S)
        (kept,) = clock.dispatcher.kept
        client.sendall(b"hello")
        assert kept.recv(5) == b"hello"
        clock.frozen = set()
        clock.run(0.5)
        assert frozen.connections == []
        assert [child.standing.load for child in clock.supervisor.children()] == [0, 0]


def test_connections_that_a_dead_worker_has_not_received_go_to_others(clock: Clock) -> None:
    """No client notices."""
    dead = clock.running[0]
    with send(clock, dead) as client:
        dead.exit_code = -9
        clock.run(CHECK_INTERVAL_S)
        (kept,) = clock.dispatcher.kept
        kept.sendall(b"hello")
        assert client.recv(5) == b"hello"


def test_a_worker_that_is_silent_for_too_long_is_killed(clock: Clock) -> None:
    """And restarted, because no health check can reach it alone."""
    frozen = clock.running[0]
    clock.frozen = {frozen.pid}
    clock.run(SILENCE_TIMEOUT_S - 1)
    assert frozen.signals == []
    clock.run(2)
    assert frozen.signals == [signal.SIGKILL]
    assert len(clock.running) == 2


def test_a_worker_that_never_starts_is_killed(clock: Clock) -> None:
    """It has a minute."""
    clock.running[0].exit_code = 1
    clock.run(FIRST_PAUSE_S, reports=False)
    clock.run(CHECK_INTERVAL_S, reports=False)
    newest = clock.workers.started[-1]
    clock.frozen = {newest.pid}
    clock.run(START_TIMEOUT_S - 1)
    assert newest.signals == []
    clock.run(2)
    assert newest.signals == [signal.SIGKILL]


def test_a_supervisor_that_stood_still_blames_nobody(clock: Clock) -> None:
    """However long it was stopped, and whatever the clock says then."""
    clock.time += 3600
    clock.supervisor.check()
    assert all(child.standing.is_live for child in clock.supervisor.children())
    assert len(clock.running) == 2


# --- Replacing ---


def test_workers_are_replaced_in_turn(clock: Clock) -> None:
    """Each successor becomes ready, then its predecessor drains and ends, and then the next one starts."""
    first, second = clock.running
    clock.supervisor.replace_all()
    clock.run(0.1)
    third = clock.workers.started[2]
    assert third.number == 1
    clock.unready = {third.pid}
    clock.run(5)
    assert first.messages == [], "it serves until its successor is ready"
    clock.unready = set()
    clock.run(0.3)
    assert first.messages == [b""], "it learns that it gets nothing more, and drains"
    assert [child.standing.is_live for child in clock.supervisor.children()] == [True, True, False]
    clock.run(30)
    assert clock.running == [first, second, third], "one at a time"
    first.exit_code = 0
    clock.run(0.5)
    fourth = clock.workers.started[3]
    assert fourth.number == 2
    assert second.messages == [b""]
    second.exit_code = 0
    clock.run(30)
    assert clock.running == [third, fourth]
    assert not any(process.signals for process in clock.workers.started)


def test_a_second_request_to_replace_changes_nothing(clock: Clock) -> None:
    """Until the first one is done."""
    for _ in range(3):
        clock.supervisor.replace_all()
        clock.run(0.3)
    assert len(clock.workers.started) == 3


def test_a_successor_that_fails_replaces_nobody(clock: Clock) -> None:
    """A new version that cannot start changes nothing."""
    before = clock.running
    clock.supervisor.replace_all()
    clock.run(0.1)
    clock.running[-1].exit_code = 1
    clock.run(30)
    assert clock.running == before
    assert all(process.messages == [] for process in before)
    clock.supervisor.replace_all()
    clock.run(0.3)
    assert len(clock.running) == 3, "it can be tried again"


def test_a_successor_that_does_not_become_ready_replaces_nobody(clock: Clock) -> None:
    """If others are ready: a new version that gets no ticks changes nothing."""
    before = clock.running
    clock.supervisor.replace_all()
    clock.run(0.1)
    newcomer = clock.running[-1]
    clock.unready = {newcomer.pid}
    clock.run(READY_TIMEOUT_S - 1)
    assert newcomer.signals == []
    clock.run(30)
    assert newcomer.signals == [signal.SIGINT]
    newcomer.exit_code = 0
    clock.run(30)
    assert clock.running == before
    clock.supervisor.replace_all()
    clock.run(0.3)
    assert len(clock.running) == 3, "it can be tried again"


def test_a_replacement_waits_for_ticks(clock: Clock) -> None:
    """Without ticks no worker is ready, old or new. When they arrive it goes on."""
    first, second = clock.running
    clock.unready = {*range(first.pid, first.pid + 10)}
    clock.supervisor.replace_all()
    clock.run(300)
    assert first.messages == []
    assert len(clock.running) == 3
    clock.unready = set()
    clock.run(0.3)
    assert first.messages == [b""]
    assert second.messages == []


def test_a_worker_that_dies_while_its_successor_starts_is_not_restarted(clock: Clock) -> None:
    """The successor takes its place."""
    first, second = clock.running
    clock.supervisor.replace_all()
    clock.run(0.1)
    third = clock.running[-1]
    clock.frozen = {third.pid}
    first.exit_code = -9
    clock.run(5)
    assert clock.running == [second, third]
    clock.frozen = set()
    clock.run(0.5)
    assert [process.number for process in clock.running] == [2, 1, 2]
    assert second.messages == [b""]


# --- Stopping ---


def test_stopping_drains_all_workers(clock: Clock) -> None:
    """They get connections until they take no more; then nothing listens; it is over when they have ended."""
    first, second = clock.running
    clock.supervisor.stop("stopping on SIGTERM", in_a_hurry=False)
    clock.run(1)
    assert first.messages == second.messages == [DRAIN]
    assert not clock.dispatcher.is_closed
    for process in (first, second):
        process.report(is_open=False)
    clock.run(CHECK_INTERVAL_S, reports=False)
    assert clock.dispatcher.is_closed
    for process in (first, second):
        process.receive()
        assert process.messages == [DRAIN, b""], "each learns that nothing more will come"
    first.exit_code = 0
    clock.run(0.5, reports=False)
    assert not clock.supervisor.is_over
    second.exit_code = 0
    clock.run(0.1)
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 0
    assert len(clock.workers.started) == 2


def test_a_worker_whose_link_is_full_learns_later_that_it_must_drain(clock: Clock) -> None:
    """As soon as it receives again."""
    first, _ = clock.running
    (child, _) = clock.supervisor.children()
    client, accepted = socket.socketpair()
    with client, accepted:
        while child.send(accepted, 1):
            pass
    clock.supervisor.stop("stopping on SIGTERM", in_a_hurry=False)
    first.receive()
    assert first.messages == []
    clock.run(0.3)
    assert first.messages == [DRAIN]


@pytest.mark.parametrize("in_a_hurry", [(True,), (False, False), (False, True)])
def test_a_hurry(clock: Clock, in_a_hurry: tuple[bool, ...]) -> None:
    """SIGINT and SIGQUIT hurry the workers, and so does any second signal."""
    first, second = clock.running
    for one in in_a_hurry:
        clock.supervisor.stop("stopping", in_a_hurry=one)
    assert first.signals == second.signals == [signal.SIGINT]


def test_stopping_ends_workers_that_start(new_clock: Callable[[int], Clock]) -> None:
    """They have no viewers. The exit code is 0, as that of a worker that is stopped before it serves."""
    clock = new_clock(2)
    clock.run(0.2, reports=False)
    clock.supervisor.stop("stopping on SIGTERM", in_a_hurry=False)
    clock.run(0.2, reports=False)
    assert clock.workers.started[0].signals == [signal.SIGTERM]
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 0


def test_stopping_ends_a_replacement(clock: Clock) -> None:
    """The newcomer ends with the others."""
    clock.supervisor.replace_all()
    clock.run(0.1)
    newcomer = clock.running[-1]
    clock.supervisor.stop("stopping on SIGTERM", in_a_hurry=False)
    clock.run(0.3)
    for process in clock.running:
        assert process is newcomer or process.messages == [DRAIN]
        process.exit_code = 0
    clock.run(0.2)
    assert newcomer.signals == [signal.SIGTERM]
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 0
    assert len(clock.workers.started) == 3


def test_a_worker_that_stands_still_does_not_delay_the_end_forever(clock: Clock) -> None:
    """It is killed like any other that is silent."""
    frozen, other = clock.running
    clock.frozen = {frozen.pid}
    clock.supervisor.stop("stopping on SIGTERM", in_a_hurry=False)
    clock.run(5)
    other.exit_code = 0
    clock.run(SILENCE_TIMEOUT_S)
    assert clock.supervisor.is_over
    assert clock.supervisor.exit_code == 0
