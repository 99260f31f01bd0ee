"""The stream of one viewer, with scripted connections and virtual time."""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from clock.watch import stream as module
from clock.watch.failure import Failure, Kind
from clock.watch.journal import Journal
from clock.watch.statistics import Span, Statistics
from clock.watch.stream import Shared, Stream, parse_frame
from clock.watch.timeline import Answer, Timeline
from tests.clock.watch.conftest import START_S, VirtualTime

END: Final = "end"  # of a script: nothing more arrives


def frame(at: int) -> str:
    """Return a frame of a tick."""
    return json.dumps({"message": f"at {at}", "at": at})


def closed(code: int | None, reason: str = "") -> ConnectionClosedError:
    """Return the end of a connection."""
    return ConnectionClosedError(None if code is None else Close(code, reason), None)


class Script:
    """The connections of a viewer, one list each: frames to receive, errors to raise, and pauses in milliseconds.

    A connection whose list is an error fails. After the last one the test ends. `pauses` are those between connections,
    in seconds.
    """

    def __init__(self, time: VirtualTime, *connections: list[Any] | Exception) -> None:
        self.time = time
        self.pauses: list[float] = []
        self.ended = asyncio.Event()
        self.statistics = Statistics(1, 10)
        self.viewer = self.statistics.viewers[0]
        self.timeline = Timeline()
        self.journal = Journal(lambda: "12:00:00")
        self.keeps_trying = False
        self._connections = iter(connections)
        self._failed_at_s: float | None = None

    def total(self) -> Span:
        """Return the statistics up to now."""
        return self.statistics.total(self.time.now_ms)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["Connection"]:
        if self._failed_at_s is not None:
            self.pauses.append(round(self.time.now_s - self._failed_at_s, 6))
        script = next(self._connections, [END])
        try:
            if isinstance(script, Exception):
                raise script
            yield Connection(self, iter(script))
        finally:
            self._failed_at_s = self.time.now_s

    def run(self) -> Failure | None:
        """Run to the end of the script, and return the failure that ended the stream before, if there is one."""
        return self.time.run(self._run())

    async def _run(self) -> Failure | None:
        shared = Shared(
            self._open,
            "clock.example:80",
            self.statistics,
            self.timeline,
            self.journal,
            asyncio.Semaphore(1),
            self.keeps_trying,
        )
        task = asyncio.create_task(Stream(self.viewer, shared).run())
        ended = asyncio.create_task(self.ended.wait())
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            return None
        error = task.exception()
        assert isinstance(error, Failure)
        return error


class Connection:
    """One scripted connection."""

    def __init__(self, script: Script, steps: Iterator[Any]) -> None:
        self._script = script
        self._steps = steps

    async def recv(self) -> str:
        """Return the next frame, or raise the next error."""
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if step == END:
                self._script.ended.set()
                break
            if isinstance(step, str):
                return step
            await asyncio.sleep(step / 1_000)
        await asyncio.sleep(3_600)
        raise AssertionError


@pytest.fixture
def script(virtual_time: VirtualTime) -> Callable[..., Script]:
    """Return a function that makes a script."""
    return lambda *connections: Script(virtual_time, *connections)


def test_frames_are_counted(script: Callable[..., Script]) -> None:
    """With their gaps and their lateness on the ticker's timeline."""
    one = script([frame(500_000), 10, frame(500_010), 25, frame(500_020), END])
    one.timeline.add_answer(Answer(999_994.0, 1_000_000.0, 499_999.0, 0.0, synchronised=None))
    assert one.run() is None
    total = one.total()
    assert total.frames == 3
    assert total.longest_gap == pytest.approx(25)
    assert total.lateness is not None
    assert total.lateness.p99 - total.lateness.minimum == pytest.approx(15, abs=0.2)
    assert one.viewer.connections == 1


def test_after_4012_it_reconnects_at_once(script: Callable[..., Script]) -> None:
    """The gap runs from the last frame of the first connection to the first one of the second."""
    one = script([frame(10), closed(4012, "going away")], [30, frame(20), END])
    assert one.run() is None
    assert one.pauses == [0.25]
    assert one.viewer.closes == {4012: 1}
    assert one.viewer.connections == 2
    assert one.total().longest_gap == pytest.approx(280)
    assert one.journal.take() == [
        "12:00:00 closed with 4012: going away",
        "12:00:00 frames again, after 280 ms",
    ]


def test_pauses_grow_while_attempts_fail(script: Callable[..., Script]) -> None:
    """They double, and are those of a full worker after 4013. Failed attempts are counted by their kind."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    one = script([frame(10), closed(None)], refused, refused, [closed(4013, "full")], [frame(20), END])
    assert one.run() is None
    assert one.pauses == [0.25, 0.5, 1.0, 10.0]
    assert one.viewer.closes == {1006: 1, 4013: 1}
    assert one.viewer.failures == {"refused": 2}


def test_the_pause_is_short_again_only_after_a_proof(script: Callable[..., Script]) -> None:
    """A worker that disconnects everybody after the first frame is not asked again and again; one that lasted is."""
    brief = [frame(10), closed(1011)]
    lasting = [
        frame(10),
        module.PROVEN_AFTER_MS / 2,
        frame(20),
        module.PROVEN_AFTER_MS / 2 + 1,
        frame(30),
        closed(1011),
    ]
    one = script(brief, brief, lasting, brief, [END])
    assert one.run() is None
    assert one.pauses == [0.25, 0.5, 0.25, 0.5]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Kind.REFUSED),
        (TimeoutError(), Kind.TIMEOUT),
    ],
)
def test_before_the_first_frame_a_failure_is_final(script: Callable[..., Script], error: Exception, kind: Kind) -> None:
    """An operator wants to know at once."""
    failure = script(error).run()
    assert failure is not None
    assert failure.kind is kind


def test_a_monitor_keeps_trying(script: Callable[..., Script]) -> None:
    """Also before the first frame."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    one = script(refused, refused, [frame(10), END])
    one.keeps_trying = True
    assert one.run() is None
    assert one.viewer.failures == {"refused": 2}
    assert one.viewer.tally.frames == 1


def test_a_full_worker_at_the_start(script: Callable[..., Script]) -> None:
    """It is a failure, with the worker's reason."""
    failure = script([closed(4013, "this worker is full")]).run()
    assert failure is not None
    assert (failure.kind, "this worker is full" in str(failure)) == (Kind.FULL, True)


def test_a_draining_worker_at_the_start(script: Callable[..., Script]) -> None:
    """4012 says that another worker is there; but not for ever."""
    away = [closed(4012)]
    one = script(away, away, [frame(10), END])
    assert one.run() is None
    failure = script(*[away] * (module.MAX_DETOURS + 1)).run()
    assert failure is not None
    assert failure.kind is Kind.GOING_AWAY


def test_4008_is_final_at_any_time(script: Callable[..., Script]) -> None:
    """The worker forbids another attempt."""
    failure = script([frame(10), closed(4008, "why")], [frame(20), END]).run()
    assert failure is not None
    assert failure.kind is Kind.BROKEN_CONTRACT


def test_silence(script: Callable[..., Script]) -> None:
    """Before the first frame it is a failure, after 5 s. Later the viewer reconnects; its pause does not grow."""
    one = script([])
    failure = one.run()
    assert failure is not None
    assert failure.kind is Kind.SILENT
    assert one.time.now_s - START_S == pytest.approx(module.SILENT_AFTER_S)
    one = script([frame(10)], [frame(20)], [frame(30), END])
    assert one.run() is None
    assert one.pauses == [2.0, 2.0]
    assert one.viewer.failures == {"silent": 2}


def test_a_frame_that_is_not_newer(script: Callable[..., Script]) -> None:
    """On one connection it means that a clock was set: the offset is asked for again. On the next one it does not."""
    one = script([frame(500_000), frame(500_010), closed(4012)], [frame(500_010), frame(400_000), END])
    one.timeline.add_answer(Answer(999_999.0, 1_000_000.0, 500_000.0, 5.0, synchronised=None))
    assert one.run() is None
    assert one.timeline.steps == 1


@pytest.mark.parametrize(
    "data",
    [
        "",
        "tick",
        "[]",
        "{}",
        '{"at": "1", "message": ""}',
        '{"at": 1.5, "message": ""}',
        '{"at": -10, "message": ""}',
        '{"at": 10, "message": "\\u001b[2J"}',
        b"\xff",
    ],
)
def test_what_is_no_frame(data: str | bytes) -> None:
    """It ends the program, which says what it received."""
    with pytest.raises(Failure, match="not that of a clock") as raised:
        parse_frame(data)
    assert raised.value.kind is Kind.NOT_A_CLOCK


def test_a_frame() -> None:
    """Of the contract, with or without more fields."""
    assert parse_frame('{"message": "2026-11-22 12:48:00.12", "at": 1795351680120, "more": 1}') == (
        1795351680120,
        "2026-11-22 12:48:00.12",
    )
