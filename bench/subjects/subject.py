"""A subject: a server that the benchmark measures, and the programs that it consists of."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.subjects.gate import channel_of
from testbed.processes import Broker, Program, accepts_connections, wait_until
from tournament.up.broker import free_port


@dataclass(frozen=True, slots=True)
class Environment:
    """What a subject runs on: a broker with a ticker and a gate, a directory for logs, and its CPU cores (None: all).

    The gate passes the ticks on to its `namespace`.
    """

    broker: Broker
    directory: Path
    cores: set[int] | None
    namespace: str = "clock"

    @property
    def channel(self) -> str:
        """The Redis channel of its ticks."""
        return channel_of(self.namespace)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The programs of a subject, not started yet, in the order in which to start them.

    Clients connect to `port`. The CPU time and memory of the `measured` programs count; they run on the subject's own
    core. The `helpers` only feed them.
    """

    port: int
    measured: list[Program]
    helpers: list[Program] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to measure.

    `has_now` is true if it answers `/clock/now`, and `is_lenient` if it sends other texts than ticks. `missing` returns
    what this machine lacks to run it and how to install that, or an empty text.
    """

    name: str
    title: str
    path: str
    deploy: Callable[[Environment], Deployment]
    missing: Callable[[], str] = str
    has_now: bool = False
    is_lenient: bool = False


class Server(Program):
    """A program that listens on a free port of the loopback interface. `command` gets that port."""

    def __init__(self, name: str, environment: Environment, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        variables = {"REDIS_URL": environment.broker.url, "CLOCK_NAMESPACE": environment.namespace}
        super().__init__(name, command(self.port), environment.directory, variables)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: not self.running or accepts_connections(self.port), f"{self.command[0]} accepts connections")
        assert self.running, self.output()


def python_server(name: str, *arguments: str) -> Callable[[Environment], Deployment]:
    """Return a function that deploys a Python program. It replaces the arguments PORT, REDIS_PORT and CHANNEL."""

    def deploy(environment: Environment) -> Deployment:
        def command(port: int) -> list[str]:
            values = {"PORT": str(port), "REDIS_PORT": str(environment.broker.port), "CHANNEL": environment.channel}
            return [sys.executable, *(values.get(argument, argument) for argument in arguments)]

        server = Server(name, environment, command)
        return Deployment(server.port, [server])

    return deploy
