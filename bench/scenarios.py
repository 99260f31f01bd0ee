"""The scenarios: what is done to a subject while it is measured."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from bench.load import Entry, Load
from bench.measurement import Measurement
from bench.subjects import Stage, Subject
from testbed.accounting import cpu_ns, family, private_bytes
from testbed.published import Published
from testbed.stalled import Stalled

# What a page asks on start: this many calls of /clock/now.
PAGE_CALLS = 5
PARALLEL = 32

STALLED = 20
STALLED_LIMIT = 25.0  # seconds in which the stalled ones may be closed

# Seconds between the last that got in and the first that counts: a compiler that works while the program runs (Node's,
# Bun's) shall have done so.
SETTLE = 2.0

# The scenarios, in the order in which one running server goes through them, and how many seconds each takes beside its
# window.
SCENARIOS = {
    "0": 2.5,
    "1": 2.5,
    "100": 2.7,
    "400": 3.0,
    "800": 2.7,
    "storm": 8.0,  # 400 more come while 400 stream
    "stalled": 5.5,  # 20 of 400 never read
    "rate=10": 5.5,
}
SIZES = {"1": 1, "100": 100, "400": 400, "800": 800}
START_SECONDS = 3.5


class Trial:
    """One subject, running, under one load generator."""

    def __init__(self, subject: Subject, stage: Stage, published: Published, repetition: int, seconds: float) -> None:
        self._subject = subject
        self._published = published
        self._repetition = repetition
        self._seconds = seconds
        self._cast = subject.make(stage)
        for program in self._cast.counted:
            program.cores = stage.cores
        self._exits = ExitStack()
        self._clients = 0

    def __enter__(self) -> Self:
        with self._exits:
            for program in (*self._cast.counted, *self._cast.beside):
                self._exits.enter_context(program)
            self._load = self._exits.enter_context(Load(self._cast.port, meanwhile=self._published.pass_time))
            self._wait_for_a_frame()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _wait_for_a_frame(self) -> None:
        deadline = time.monotonic() + 20
        while not self._load.connect(1, self._subject.path).in_:
            printed = "".join(program.output() for program in self._cast.counted)
            assert time.monotonic() < deadline, f"{self._subject.title} brings no frame; it printed:\n{printed}"
            self._published.pass_time(0.2)
        self._load.close()

    @property
    def pids(self) -> list[int]:
        """The subject's processes."""
        return [pid for program in self._cast.counted for pid in family(program.pid)]

    def run(self, scenario: str) -> Measurement:
        """Go through one of `SCENARIOS`."""
        if scenario == "storm":
            return self._storm()
        if scenario == "stalled":
            return self._stall()
        if scenario == "rate=10":
            self._hang_up()
            return self._crowd(scenario, 400, "?rate=10")
        if scenario in SIZES:
            return self._crowd(scenario, SIZES[scenario])
        self._hang_up()
        return self._measure(scenario)

    def _hang_up(self) -> None:
        self._load.close()
        self._clients = 0
        self._published.pass_time(SETTLE)

    def _crowd(self, scenario: str, count: int, query: str = "") -> Measurement:
        """Have so many clients in all, and watch what they get."""
        entry = self._admit(count - self._clients, query) if count > self._clients else None
        measured = self._measure(scenario)
        measured.entry = entry
        return measured

    def _admit(self, count: int, query: str = "") -> Entry:
        """Let so many more in, and wait until the first excitement is over."""
        entry = self._load.connect(count, self._subject.path + query, parallel=PARALLEL)
        self._clients += count
        self._published.pass_time(SETTLE)
        return entry

    def _storm(self) -> Measurement:
        """Let 400 more in while 400 stream, each as a page does, and watch what the first 400 get meanwhile."""
        self._hang_up()
        self._admit(400)
        entries: list[Entry] = []

        def more() -> None:
            path, calls = self._subject.path, PAGE_CALLS if self._subject.pages else 0
            entries.append(self._load.connect(400, path, parallel=PARALLEL, now_calls=calls))

        measured = self._measure("storm", more)
        (measured.entry,) = entries
        self._clients = 800
        return measured

    def _stall(self) -> Measurement:
        """Watch 380, while 20 never read, until the server has closed these."""
        self._hang_up()
        entry = self._admit(400 - STALLED)
        pids = self.pids
        before = most = private_bytes(pids)
        stalled = Stalled(STALLED, self._cast.port, self._subject.path)

        def wait() -> None:
            nonlocal most
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < STALLED_LIMIT:
                self._published.pass_time(0.5)
                most = max(most, private_bytes(pids))
                if stalled.look() and elapsed > self._seconds:
                    break

        try:
            measured = self._measure("stalled", wait)
        finally:
            stalled.hang_up()
        measured.entry, measured.stalled = entry, STALLED
        measured.closed_after_s, measured.growth_bytes = stalled.closed_after_s, most - before
        return measured

    def _measure(self, scenario: str, during: Callable[[], None] | None = None) -> Measurement:
        """Measure while something goes on, or for the ordinary time."""
        pids = self.pids
        self._load.begin()
        start, cpu = time.monotonic_ns(), cpu_ns(pids)
        if during is None:
            self._published.pass_time(self._seconds)
        else:
            during()
        cpu = cpu_ns(pids) - cpu
        seconds = (time.monotonic_ns() - start) / 1e9
        window = self._load.end()
        self._published.pass_time(0.05)  # the broker may be behind the server
        return Measurement(
            subject=self._subject.name,
            scenario=scenario,
            repetition=self._repetition,
            expected=self._clients,
            seconds=seconds,
            cpu_ns=cpu,
            memory_bytes=private_bytes(pids),
            published=self._published.count(window.from_, window.to),
            window=window,
        )
