"""Virtual time: what waits for a moment goes on at once, and the clock shows that moment. So durations are exact."""

import asyncio
import random
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from clock.watch import probe, session
from clock.watch.summary import Summary

START_S = 1_000.0

T = TypeVar("T")


class Record:
    """A display that keeps what it is shown: the summaries, and the events without their time of day."""

    interval_s = 0.05

    def __init__(self) -> None:
        self.updates: list[Summary] = []
        self.events: list[str] = []

    def update(self, summary: Summary, events: list[str]) -> None:
        """Keep an update."""
        self.updates.append(summary)
        self.end(summary, events)

    def end(self, _summary: Summary, events: list[str]) -> None:
        """Keep the last events. It is no update."""
        self.events += [event.partition(" ")[2] for event in events]


class VirtualTime:
    """The monotonic clock of this process, and of event loops that `run` starts."""

    def __init__(self) -> None:
        self.now_s = START_S

    @property
    def now_ms(self) -> float:
        """The time in milliseconds."""
        return self.now_s * 1_000

    def stand_still(self, seconds: float) -> None:
        """Let time pass while nothing else runs."""
        self.now_s += seconds

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and return its result."""
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Selector(self))) as runner:
            return runner.run(main)


class Selector(selectors.SelectSelector):
    """Never waits for files: it moves the clock on by the time for which it would have waited."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready.

        Raises:
            RuntimeError: nothing will ever happen.
        """
        if timeout is None:
            raise RuntimeError("all tasks wait, and none of them for a moment")
        self._time.now_s += max(0.0, timeout)
        return super().select(0)


async def in_this_thread(function: Callable[[], T]) -> T:
    """Return the result of a function. It replaces `in_thread`, because threads do not know the virtual time."""
    return function()


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """A clock that replaces the monotonic one. No pause is shortened at random."""
    virtual = VirtualTime()
    monkeypatch.setattr(time, "monotonic", lambda: virtual.now_s)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    for module in (probe, session):
        monkeypatch.setattr(module, "in_thread", in_this_thread)
    return virtual
