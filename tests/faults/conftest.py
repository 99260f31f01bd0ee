"""What the fault suite's tests share.

Each row of its table is a test, marked with the fault and the target:

    @pytest.mark.fault("Redis restarted empty", "flowing again within 3 s of its return")

and says what it measured by pytest's own `record_property("measured", "1.2 s")`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest
from redis import Redis

from bench.balancer import balancer_command
from testbed.processes import Broker, Program, Ticker, Worker, accepts_connections, wait_until
from testbed.recording.recorder import Recorder
from tournament.up.broker import free_port


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark."""
    config.addinivalue_line("markers", "fault(fault, target): a row of the fault suite's table")


class Stack:
    """A clock of its own for a test, which may harm every part of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broker = Broker(directory)
        self.tickers: list[Ticker] = []
        self.workers: list[Worker] = []
        self.others: list[Program] = []

    def __enter__(self) -> Self:
        self.broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for program in (*self.others, *self.workers, *self.tickers, self.broker):
            if program.running:
                program.kill()

    def ticker(self, redis_url: str = "", **environment: str) -> Ticker:
        """Start a ticker."""
        ticker = Ticker(redis_url or self.broker.url, self.directory, **environment)
        self.tickers.append(ticker)
        ticker.start()
        return ticker

    def leader(self, redis_url: str = "", **environment: str) -> Ticker:
        """Start a ticker and wait until it publishes."""
        ticker = self.ticker(redis_url, **environment)
        ticker.wait_for_output("publishing the time")
        return ticker

    def worker(
        self,
        redis_url: str = "",
        *,
        options: Sequence[str] = (),
        application: str = "tournament.asgi:application",
        start: bool = True,
        **environment: str,
    ) -> Worker:
        """Start a worker and wait until it tells the time; or only have its port."""
        worker = Worker(redis_url or self.broker.url, self.directory, **environment)
        worker.command[-1:] = [*options, application]
        self.workers.append(worker)
        if start:
            worker.start()
            worker.wait_for_ticks()
        return worker

    def redis(self, port: int = 0) -> Redis:
        """Return a client of the broker, or of a server on another port, for a test to ask it or to harm it."""
        return Redis(port=port or self.broker.port, socket_timeout=5)

    def balancer(self) -> int:
        """Start HAProxy, as it is deployed, before the workers; return its port when it takes connections."""
        port = free_port()
        command = balancer_command(port, [worker.port for worker in self.workers], self.directory)
        self.run(Program("balancer", command, self.directory))
        wait_until(lambda: accepts_connections(port), "the balancer is there")
        return port

    def run(self, program: Program) -> Program:
        """Start something else."""
        self.others.append(program)
        program.start()
        return program

    def no_traceback(self) -> None:
        """See that nobody stumbled."""
        for program in (*self.tickers, *self.workers):
            assert "Traceback" not in program.output(), program.output()


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A broker, and what is started beside it. All of it ends with the test, and none may have printed a traceback."""
    with tempfile.TemporaryDirectory(prefix="clock-faults-") as name, Stack(Path(name)) as stack:
        yield stack
        stack.no_traceback()


@pytest.fixture
def recorder(stack: Stack) -> Iterator[Recorder]:
    """A recorder that hears what is published to the stack's broker."""
    with Recorder(stack.broker.port) as recorder:
        yield recorder
