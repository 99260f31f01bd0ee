"""The session: some viewers, the probes, and the display, from the first connection to the last summary."""

import asyncio
import ssl
import time
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from clock.contract import AUTO, AUTO_RATES
from clock.watch.failure import Failure
from clock.watch.journal import Journal
from clock.watch.limits import Limits
from clock.watch.probe import Probe, Prober, in_thread, monotonic_ms
from clock.watch.statistics import Statistics
from clock.watch.stream import Shared, Stream, opener
from clock.watch.summary import Sources, Summary, final_failure, summarise
from clock.watch.target import Target
from clock.watch.timeline import Timeline

# Handshakes that are under way at the same time.
MAX_HANDSHAKES: Final = 32

# How often this program checks whether it stands still itself.
STALL_INTERVAL_S: Final = 0.02

# Seconds for connections to close at the end.
CLOSE_TIMEOUT_S: Final = 2.0

# How often to look for the first frames.
_POLL_S: Final = 0.01


class Display(Protocol):
    """Shows the session. `interval_s` is the time between two updates; None if it shows the end alone."""

    @property
    def interval_s(self) -> float | None:
        """See above."""

    def update(self, summary: Summary, events: list[str]) -> None:
        """Show what is known now, and what has happened since the last update. It may block, and runs in a thread."""

    def end(self, summary: Summary, events: list[str]) -> None:
        """Show the end."""


class Plan(NamedTuple):
    """What to do. `duration_s` counts from when all viewers have frames; None means until it is stopped."""

    target: Target
    origin: str
    tls: ssl.SSLContext | None = None
    viewers: int = 1
    duration_s: float | None = None
    limits: Limits = Limits()
    keeps_trying: bool = False  # also before the first frame


class Session:
    """Watches a clock, once."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self._plan = plan
        self._display = display
        self._statistics = Statistics(plan.viewers, _longest_period_ms(plan.target.rate))
        self._journal = Journal()
        self._timeline = Timeline(on_step=self._on_step)
        self._probe = Probe(plan.target, plan.tls)
        self._prober = Prober(
            self._probe.ask,
            self._timeline.add_answer,
            lambda error: self._journal.add(f"no time from a probe: {error}"),
        )
        self._flowing_since: float | None = None
        self._stall_ms = 0.0

    async def run(self, stopping: asyncio.Event) -> Summary:
        """Watch until it is stopped, the duration is over, or there is no stream; return the last summary."""
        plan = self._plan
        shared = Shared(
            opener(plan.target, plan.origin, plan.tls),
            f"{plan.target.host}:{plan.target.port}",
            self._statistics,
            self._timeline,
            self._journal,
            asyncio.Semaphore(MAX_HANDSHAKES),
            plan.keeps_trying,
        )
        streams = [Stream(viewer, shared) for viewer in self._statistics.viewers]
        tasks = [
            asyncio.create_task(run())
            for run in (
                stopping.wait,
                self._wait_for_duration,
                self._prober.run,
                self._measure_stalls,
                self._update_display,
                *(stream.run for stream in streams),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            summary = self._summary(_failure_of(done) or final_failure(self._statistics, monotonic_ms()))
        finally:
            for task in tasks:
                task.cancel()
            # A server that does not answer a close frame takes a second.
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
            self._probe.close()
        self._display.end(summary, self._journal.take())
        return summary

    def _summary(self, failure: Failure | None = None) -> Summary:
        plan, now = self._plan, monotonic_ms()
        sources = Sources(plan.target, plan.origin, self._statistics, self._timeline, self._prober, plan.limits)
        seconds = 0.0 if self._flowing_since is None else time.monotonic() - self._flowing_since
        return summarise(sources, now, seconds=seconds, stall=self._stall_ms, failure=failure)

    async def _wait_for_duration(self) -> None:
        # A poll costs less than to set an event at each frame.
        while not self._statistics.all_have_frames:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        self._flowing_since = time.monotonic()
        if self._plan.duration_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self._plan.duration_s)

    async def _update_display(self) -> None:
        """Update the display in a thread: of many viewers a summary takes long, in which frames would wait."""
        if self._display.interval_s is None:
            await asyncio.Event().wait()
        else:
            while True:
                await asyncio.sleep(self._display.interval_s)
                await in_thread(partial(self._show, self._journal.take()))

    def _show(self, events: list[str]) -> None:
        self._display.update(self._summary(), events)

    async def _measure_stalls(self) -> None:
        """Note for how long this program stood still: in that time it received nothing."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(STALL_INTERVAL_S)
            late_s = time.monotonic() - before - STALL_INTERVAL_S
            self._stall_ms = max(self._stall_ms, late_s * 1_000)

    def _on_step(self) -> None:
        self._journal.add("a clock was set, or ticks of another time arrived")
        self._prober.burst()


def _failure_of(done: set[asyncio.Task[Any]]) -> Failure | None:
    """Return why streams have ended; None if other tasks have.

    Raises: what is not a failure of a stream.
    """
    errors = [error for task in done if (error := task.exception()) is not None]
    for error in errors:
        if not isinstance(error, Failure):
            raise error
    return next((error for error in errors if isinstance(error, Failure)), None)


def _longest_period_ms(rate: str) -> float:
    return 1_000 / (min(AUTO_RATES) if rate == AUTO else int(rate))
