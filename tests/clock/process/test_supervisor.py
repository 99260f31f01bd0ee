"""The supervisor of background tasks, in virtual time."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from clock.process import supervisor as tasks
from clock.process.restart_policy import GIVE_UP_AFTER_S, HEALTHY_AFTER_S
from clock.process.supervisor import LONGEST_PAUSE_S, Supervisor
from tests.conftest import settle


class Loop:
    """A clock that the test moves, and the restarts that wait for it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waiting: list[tuple[float, object]] = []

    async def move(self, seconds: float) -> None:
        """Let time pass, and run what is due in its order."""
        end = self.now + seconds
        while due := sorted((entry for entry in self.waiting if entry[0] <= end), key=lambda entry: entry[0]):
            self.waiting.remove(due[0])
            self.now, call = due[0]
            call()  # type: ignore[operator]
            await settle()
        self.now = end


class Handle:
    """A timer that can be cancelled."""

    def __init__(self, clock: Loop, entry: tuple[float, object]) -> None:
        self._clock, self._entry = clock, entry

    def cancel(self) -> None:
        """Cancel the timer."""
        self._clock.waiting.remove(self._entry)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """The virtual time of a test, which the loop's `call_later` follows."""
    clock = Loop()

    def call_later(delay: float, callback: object, *args: object) -> Handle:
        entry = (clock.now + delay, lambda: callback(*args))  # type: ignore[operator]
        clock.waiting.append(entry)
        return Handle(clock, entry)

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    return clock


class Job:
    """A task that fails as often as `failures` says, and then runs until told to end."""

    def __init__(self, failures: float = float("inf")) -> None:
        self.starts = 0
        self.failures = failures
        self.end = asyncio.Event()

    async def run(self) -> None:
        """Fail, or run until told to end."""
        self.starts += 1
        if self.starts <= self.failures:
            raise ZeroDivisionError
        await self.end.wait()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the supervisor logs."""
    with caplog.at_level(logging.INFO, logger=tasks.__name__):
        yield caplog


async def test_a_task_that_raises_is_restarted(clock: Loop, log: pytest.LogCaptureFixture) -> None:
    """The error is logged with the task's name and a traceback. The pauses double from 0.1 s up to 5 s."""
    supervisor, job = Supervisor(now=lambda: clock.now), Job()
    supervisor.start("job", job.run)
    await settle()
    assert job.starts == 1
    pauses = []
    for starts in range(2, 10):
        before = clock.now
        while job.starts < starts:
            await clock.move(0.05)
        pauses.append(clock.now - before)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S], abs=0.051)
    assert "'job' failed" in log.text
    assert "ZeroDivisionError" in log.text
    await supervisor.stop()


async def test_a_task_that_others_cancel_is_restarted(clock: Loop) -> None:
    """Only `stop` ends a task."""
    supervisor, job = Supervisor(now=lambda: clock.now), Job(failures=0)
    supervisor.start("job", job.run)
    await settle()
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "job")
    task.cancel()
    await settle()
    await clock.move(0.2)
    assert job.starts == 2
    assert supervisor.down_for("job") == pytest.approx(0.2)  # it counts as failing until it has run for a while
    await supervisor.stop()
    await clock.move(10)
    assert job.starts == 2
    assert not supervisor.is_supervised("job")


async def test_a_task_that_returns_is_finished(clock: Loop) -> None:
    """It can be started again. While it runs, a second start has no effect."""
    supervisor, job = Supervisor(now=lambda: clock.now), Job(failures=0)
    supervisor.start("job", job.run)
    supervisor.start("job", job.run)
    await settle()
    job.end.set()
    await settle()
    assert job.starts == 1
    assert not supervisor.is_supervised("job")
    assert supervisor.down_for("job") == 0
    supervisor.start("job", job.run)
    await settle()
    assert job.starts == 2


async def test_how_long_a_task_has_been_failing(clock: Loop) -> None:
    """It counts from the first of several failures, and is 0 again when the task has run for 10 s."""
    supervisor, job = Supervisor(now=lambda: clock.now), Job(failures=4)
    supervisor.start("job", job.run)
    await settle()
    assert supervisor.down_for("job") == 0
    await clock.move(2)
    assert job.starts == 5
    assert supervisor.down_for("job") == pytest.approx(2)
    await clock.move(HEALTHY_AFTER_S)
    assert supervisor.down_for("job") == 0
    await supervisor.stop()


async def test_a_vital_task_that_keeps_failing_ends_the_process(clock: Loop) -> None:
    """After a minute of failing restarts, `give_up` is called once. Restarts go on meanwhile."""
    reasons: list[str] = []
    supervisor, job, other = Supervisor(reasons.append, now=lambda: clock.now), Job(), Job()
    supervisor.start("job", job.run, vital=True)
    supervisor.start("other", other.run)
    await settle()
    await clock.move(GIVE_UP_AFTER_S - LONGEST_PAUSE_S)
    assert reasons == []
    await clock.move(3 * LONGEST_PAUSE_S)
    assert len(reasons) == 1
    assert "'job'" in reasons[0]
    await supervisor.stop()
    assert clock.waiting == []


async def test_rare_failures_do_not_end_the_process(clock: Loop) -> None:
    """A vital task that is healthy between two failures starts over, with the shortest pause."""
    reasons: list[str] = []
    supervisor = Supervisor(reasons.append, now=lambda: clock.now)
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        await tick.wait()
        raise ZeroDivisionError

    tick = asyncio.Event()
    supervisor.start("job", run, vital=True)
    await settle()
    for number in range(2, 20):
        await clock.move(HEALTHY_AFTER_S + 1)
        tick.set()
        await settle()
        tick.clear()
        await clock.move(0.11)
        assert starts == number
    assert reasons == []
    await supervisor.stop()
