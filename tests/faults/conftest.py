"""What the tests of the fault suite share.

Each row of the suite's table is a test, or several, with a mark that has the fault and the target. A test reports its
result with pytest's own `record_property`:

    @pytest.mark.fault("Redis restarts empty", "ticks within 3 s of its return")
    def test_redis_restarts_empty(stack: Stack, record_property: RecordProperty) -> None:
        record_property("measured", "1.2 s")

Rows with `readme=True` are also in the short table of the README.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest
from redis import Redis

from bench.subjects.balancer import balancer_command
from testbed.processes import Broker, Program, Ticker, Worker, accepts_connections, free_port, wait_until
from testbed.recording.recorder import Recorder

RecordProperty = Callable[[str, object], None]

NOTHING: Mapping[str, str] = {}


class Stack:
    """A clock that a test may break in any of its parts."""

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
            program.kill()

    def ticker(self, redis_url: str = "", environment: Mapping[str, str] = NOTHING) -> Ticker:
        """Start a ticker."""
        ticker = Ticker(redis_url or self.broker.url, self.directory, **environment)
        self.tickers.append(ticker)
        ticker.start()
        return ticker

    def leader(self, redis_url: str = "", environment: Mapping[str, str] = NOTHING) -> Ticker:
        """Start a ticker and wait until it is the leader."""
        ticker = self.ticker(redis_url, environment)
        ticker.wait_until_leader()
        return ticker

    def standby(self, environment: Mapping[str, str] = NOTHING) -> Ticker:
        """Start a ticker and wait until it is a standby."""
        ticker = self.ticker(environment=environment)
        ticker.wait_until_standby()
        return ticker

    def worker(
        self,
        redis_url: str = "",
        *,
        options: Sequence[str] = (),
        application: str = "tournament.asgi:application",
        start: bool = True,
        environment: Mapping[str, str] = NOTHING,
    ) -> Worker:
        """Start a worker and wait until it has the time; or only reserve its port."""
        worker = Worker(redis_url or self.broker.url, self.directory, **environment)
        worker.command[-1:] = [*options, application]
        self.workers.append(worker)
        if start:
            worker.start()
            worker.wait_for_ticks()
        return worker

    def counting_worker(self, *, options: Sequence[str] = (), environment: Mapping[str, str] = NOTHING) -> Worker:
        """Start a worker that counts what is in its process (`testbed.faults.census`)."""
        return self.worker(application="testbed.faults.census:application", options=options, environment=environment)

    def census(self) -> dict[str, int]:
        """Count objects, tasks and descriptors in the first worker, which must be a counting one, and Redis clients."""
        with self.redis() as redis:
            here = redis.client_id()
            others = [client for client in redis.client_list() if int(client["id"]) != here]
        counted: dict[str, int] = json.loads(self.workers[0].get("/census")[1])
        return {**counted, "subscriptions": sum(int(one["sub"]) for one in others), "Redis clients": len(others)}

    def redis(self, port: int = 0) -> Redis:
        """Return a client of the broker, or of a server on another port."""
        return Redis(port=port or self.broker.port, socket_timeout=5)

    def balancer(self) -> int:
        """Start HAProxy, as it is deployed, before the workers; return its port when it accepts connections."""
        port = free_port()
        command = balancer_command(port, [worker.port for worker in self.workers], self.directory)
        self.run(Program("balancer", command, self.directory))
        wait_until(lambda: accepts_connections(port), "HAProxy accepts connections")
        return port

    def run(self, program: Program) -> Program:
        """Start another program."""
        self.others.append(program)
        program.start()
        return program

    def check_no_traceback(self) -> None:
        """Fail if a ticker or a worker has printed a traceback."""
        for program in (*self.tickers, *self.workers):
            assert "Traceback" not in program.output(), program.output()


def new_stack() -> Iterator[Stack]:
    """Yield a stack, and check at the end that no part has printed a traceback."""
    with tempfile.TemporaryDirectory(prefix="clock-faults-") as name, Stack(Path(name)) as stack:
        yield stack
        stack.check_no_traceback()


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack for one test."""
    yield from new_stack()


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    """A stack for the tests of a module. Each leaves it running."""
    yield from new_stack()


@pytest.fixture
def recorder(stack: Stack) -> Iterator[Recorder]:
    """A recorder that is subscribed at the stack's broker."""
    with Recorder(stack.broker.port) as recorder:
        yield recorder


@pytest.fixture
def shared_recorder(shared_stack: Stack) -> Iterator[Recorder]:
    """A recorder for one test that is subscribed at the shared stack's broker."""
    with Recorder(shared_stack.broker.port) as recorder:
        yield recorder
        shared_stack.check_no_traceback()
