"""A trial: one running subject, with one load generator, that goes through scenarios."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from bench.load.generator import ConnectResult, LoadGenerator
from bench.subjects.subject import Environment, Subject
from bench.trial.measurement import Measurement
from bench.trial.scenarios import CLIENTS, NOW_CALLS, PARALLEL, SETTLE_S, SIZES, STALLED_CLIENTS, STALLED_LIMIT_S
from testbed.accounting import cpu_ns, private_bytes, process_tree
from testbed.published import Published
from testbed.stalled import Stalled

FIRST_FRAME_TIMEOUT_S = 20.0


class Trial:
    """One subject, started once."""

    def __init__(
        self, subject: Subject, environment: Environment, published: Published, repetition: int, seconds: float
    ) -> None:
        self._subject = subject
        self._published = published
        self._repetition = repetition
        self._seconds = seconds
        self._deployment = subject.deploy(environment)
        for program in self._deployment.measured:
            program.cores = environment.cores
        self._exits = ExitStack()
        self._clients = 0

    def __enter__(self) -> Self:
        with self._exits:
            for program in (*self._deployment.measured, *self._deployment.helpers):
                self._exits.enter_context(program)
            generator = LoadGenerator(self._deployment.port, while_waiting=self._published.receive)
            self._generator = self._exits.enter_context(generator)
            self._wait_for_frame()
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _wait_for_frame(self) -> None:
        deadline = time.monotonic() + FIRST_FRAME_TIMEOUT_S
        while not self._generator.connect(1, self._subject.path).connected:
            output = "".join(program.output() for program in self._deployment.measured)
            assert time.monotonic() < deadline, f"{self._subject.title} sends no frames; its output:\n{output}"
            self._published.receive(0.2)
        self._generator.close()

    @property
    def pids(self) -> list[int]:
        """The ids of the subject's processes."""
        return [pid for program in self._deployment.measured for pid in process_tree(program.pid)]

    def run(self, scenario: str) -> Measurement:
        """Go through one of `SCENARIOS`."""
        if scenario == "storm":
            return self._storm()
        if scenario == "stalled":
            return self._stalled()
        if scenario == "rate=10":
            self._disconnect()
            return self._steady(scenario, CLIENTS, "?rate=10")
        if scenario in SIZES:
            return self._steady(scenario, SIZES[scenario])
        self._disconnect()
        return self._measure(scenario)

    def _connect(self, count: int, query: str = "") -> ConnectResult:
        """Connect more clients, and wait until the server has settled."""
        result = self._generator.connect(count, self._subject.path + query, parallel=PARALLEL)
        self._clients += count
        self._published.receive(SETTLE_S)
        return result

    def _disconnect(self) -> None:
        self._generator.close()
        self._clients = 0
        self._published.receive(SETTLE_S)

    def _steady(self, scenario: str, clients: int, query: str = "") -> Measurement:
        """Measure with so many clients in all."""
        connect = self._connect(clients - self._clients, query) if clients > self._clients else None
        measurement = self._measure(scenario)
        measurement.connect = connect
        return measurement

    def _storm(self) -> Measurement:
        """Measure what streaming clients receive while as many more connect, as pages do."""
        self._disconnect()
        self._connect(CLIENTS)
        results: list[ConnectResult] = []

        def connect_more() -> None:
            calls = NOW_CALLS if self._subject.has_now else 0
            path = self._subject.path
            results.append(self._generator.connect(CLIENTS, path, parallel=PARALLEL, now_calls=calls))

        measurement = self._measure("storm", connect_more)
        (measurement.connect,) = results
        self._clients = 2 * CLIENTS
        return measurement

    def _stalled(self) -> Measurement:
        """Measure what the other clients receive until the server has disconnected the stalled ones."""
        self._disconnect()
        connect = self._connect(CLIENTS - STALLED_CLIENTS)
        pids = self.pids
        before = maximum = private_bytes(pids)
        stalled = Stalled(STALLED_CLIENTS, self._deployment.port, self._subject.path)

        def wait() -> None:
            nonlocal maximum
            start = time.monotonic()
            while (elapsed_s := time.monotonic() - start) < STALLED_LIMIT_S:
                self._published.receive(0.5)
                maximum = max(maximum, private_bytes(pids))
                if stalled.check() and elapsed_s > self._seconds:
                    break

        try:
            measurement = self._measure("stalled", wait)
        finally:
            stalled.close()
        measurement.connect, measurement.stalled_clients = connect, STALLED_CLIENTS
        measurement.closed_after_s, measurement.memory_growth_bytes = stalled.closed_after_s, maximum - before
        return measurement

    def _measure(self, scenario: str, during: Callable[[], None] | None = None) -> Measurement:
        """Measure while `during` runs; without it, for the usual time."""
        pids = self.pids
        self._generator.begin_window()
        start_ns, cpu_start_ns = time.monotonic_ns(), cpu_ns(pids)
        if during is None:
            self._published.receive(self._seconds)
        else:
            during()
        used_ns = cpu_ns(pids) - cpu_start_ns
        seconds = (time.monotonic_ns() - start_ns) / 1e9
        window = self._generator.end_window()
        self._published.receive(0.05)  # the subject may have received a tick that this subscriber has not
        return Measurement(
            subject=self._subject.name,
            scenario=scenario,
            repetition=self._repetition,
            expected_clients=self._clients,
            seconds=seconds,
            cpu_ns=used_ns,
            memory_bytes=private_bytes(pids),
            published_ticks=self._published.count(window.from_ms, window.to_ms),
            window=window,
        )
