"""A side: a subject that runs, with a load generator of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, Self

from bench.load.generator import LoadGenerator
from bench.load.results import ConnectResult, LoadResult
from bench.subjects.gate import GateControl
from bench.subjects.subject import Environment, Subject
from bench.trial.sample import Sample
from testbed.accounting import cpu_ns, open_files, private_bytes, process_tree, waited_s
from testbed.processes import Program, Worker
from testbed.subscriber import Published

FIRST_FRAME_TIMEOUT_S: Final = 20.0
DISCONNECT_TIMEOUT_S: Final = 20.0
SPARE_FILES: Final = 10  # that a subject may open without viewers
ANSWER_S: Final = 0.05  # the subject may have received a tick that the reference subscriber has not


class NotPossible(RuntimeError):
    """A subject cannot run on this machine. The text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all sides share: the environment, the gate, the published ticks, and the pause between two probes (s)."""

    environment: Environment
    gate: GateControl
    published: Published
    probe_interval_s: float
    _numbers: Iterator[int] = field(default_factory=count)

    def namespace(self) -> str:
        """Return a new namespace."""
        return f"bench-{next(self._numbers)}"

    def wait(self, seconds: float) -> None:
        """Wait, and receive the published ticks meanwhile."""
        self.published.receive(max(0.0, seconds))


class Side:
    """A subject that runs, for viewers to connect to. Its feed is open while it starts."""

    def __init__(self, subject: Subject, stage: Stage, *, name: str = "") -> None:
        if lack := subject.missing():
            raise NotPossible(f"{subject.title}: {lack}")
        self.name = name or subject.name
        self.namespace = stage.namespace()
        self.viewers = 0
        self._subject = subject
        self._stage = stage
        self._deployment = subject.deploy(replace(stage.environment, namespace=self.namespace))
        for program in self._deployment.measured:
            program.cores = stage.environment.cores
        self._exits = ExitStack()
        self._connect: ConnectResult | None = None
        self._early_failures: dict[str, int] = {}
        self._started_ns = 0
        self._cpu_ns: dict[str, int] = {}
        self._seconds = self._waited_s = 0.0

    def __enter__(self) -> Self:
        with self._exits:
            self._stage.gate.open_for([self.namespace])
            for program in (*self._deployment.measured, *self._deployment.helpers):
                self._exits.enter_context(program)
                if isinstance(program, Worker):
                    program.wait_for_ticks()
            generator = LoadGenerator(self._deployment.port, while_waiting=self._stage.published.receive)
            self.generator = self._exits.enter_context(generator)
            self._idle_files = self._open_files()
            self._wait_for_frame()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _wait_for_frame(self) -> None:
        deadline = time.monotonic() + FIRST_FRAME_TIMEOUT_S
        while not self.generator.connect(1, self._subject.path, lenient=self._subject.is_lenient).connected:
            output = "".join(program.output() for program in self._deployment.measured)
            assert time.monotonic() < deadline, f"{self._subject.title} sends no frames; its output:\n{output}"
            self._stage.wait(0.2)
        self.generator.close()

    @property
    def port(self) -> int:
        """The port that viewers connect to."""
        return self._deployment.port

    @property
    def path(self) -> str:
        """The path of the stream."""
        return self._subject.path

    @property
    def programs(self) -> list[Program]:
        """The measured programs."""
        return self._deployment.measured

    def pids(self) -> list[int]:
        """Return the ids of all measured processes."""
        return [pid for program in self._deployment.measured for pid in process_tree(program.pid)]

    def _open_files(self) -> int:
        return sum(open_files(pid) for pid in self.pids())

    def connect(
        self, viewers: int, query: str = "", *, name: str = "viewers", parallel: int = 32, pages: bool = False
    ) -> ConnectResult:
        """Connect more viewers. With `pages`, each has a second connection for its probes."""
        result = self.generator.connect(
            viewers,
            self._subject.path + query,
            name=name,
            parallel=parallel,
            now_calls=int(pages and self._subject.has_now),
            lenient=self._subject.is_lenient,
        )
        self.viewers += viewers
        self._connect = result
        return result

    def disconnect(self) -> None:
        """Disconnect all viewers, and wait until the subject has closed their connections."""
        self.generator.close()
        self.viewers = 0
        deadline = time.monotonic() + DISCONNECT_TIMEOUT_S
        while self._open_files() > self._idle_files + SPARE_FILES and time.monotonic() < deadline:
            self._stage.wait(0.2)

    def frames_per_second(self) -> float:
        """Measure for a second, before the first turn, how many frames a viewer gets."""
        self.generator.begin_window()
        self._stage.wait(1)
        window = self.generator.end_window()
        self._early_failures = window.failures
        self.generator.connect(
            0, self._subject.path
        )  # totals start anew with each connection: this second is not in them
        return window.frames / max(1, window.clients) / window.seconds

    def load_pages(self, files: Sequence[str], count: int, connections: int) -> LoadResult:
        """Load pages, all at once."""
        return self.generator.load_pages(files, count, connections)

    def resume(self) -> None:
        """Let the viewers send probes."""
        self.generator.send_probes(self._stage.probe_interval_s)

    def begin(self, duration_s: float = 0) -> None:
        """Start to measure: the ticks of `duration_s`, or those until `stop`."""
        self.generator.begin_window(duration_s)
        self._started_ns, self._cpu_ns, self._waited_s = time.monotonic_ns(), self._used_ns(), self._waiting_s()

    def stop(self) -> None:
        """Read what the programs have used, and let the viewers send no more probes."""
        used, self._waited_s = self._used_ns(), self._waiting_s() - self._waited_s
        self._cpu_ns = {name: used[name] - before for name, before in self._cpu_ns.items()}
        self._seconds = (time.monotonic_ns() - self._started_ns) / 1e9
        self.generator.send_probes(0)

    def collect(self) -> Sample:
        """Return what was measured since `begin`. A connection that was counted in one sample is not in the next."""
        window = self.generator.end_window()
        self._stage.wait(ANSWER_S)
        window.failures.update(self._early_failures)
        self._early_failures = {}
        connect, self._connect = self._connect, None
        return Sample(
            viewers=self.viewers,
            seconds=self._seconds,
            cpu_ns=self._cpu_ns,
            waited_s=self._waited_s,
            memory_bytes=private_bytes(self.pids()),
            published_ticks=self._stage.published.count(window.from_ms, window.to_ms),
            window=window,
            connect=connect,
        )

    def _waiting_s(self) -> float:
        return sum(waited_s(pid) for pid in self.pids())

    def _used_ns(self) -> dict[str, int]:
        used: dict[str, int] = {}
        for program in self._deployment.measured:
            name = name_of(program)
            used[name] = used.get(name, 0) + cpu_ns(process_tree(program.pid))
        return used


def name_of(program: Program) -> str:
    """Return the name of a program: its log is called after it."""
    return program.log.stem.rpartition("-")[0]
