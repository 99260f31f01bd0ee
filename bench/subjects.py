"""What is measured: this worker, the floor, the baselines, and the peers that can be had on this machine."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.balancer import balancer_command, balancer_missing
from bench.peers import programs as peers
from testbed.processes import Broker, PlainWorker, Program, Worker, accepts_connections, wait_until
from tournament.up.broker import free_port


@dataclass(frozen=True, slots=True)
class Stage:
    """What a subject stands on: a broker with a ticker, a directory for logs, and the cores it may use, if not all."""

    broker: Broker
    directory: Path
    cores: set[int] | None


class Server(Program):
    """A program that listens on a port of the loopback interface, which `command` is made with."""

    def __init__(self, name: str, stage: Stage, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        super().__init__(name, command(self.port), stage.directory, {"REDIS_URL": stage.broker.url})

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        super().start()
        wait_until(lambda: not self.running or accepts_connections(self.port), f"{self.command[0]} takes connections")
        assert self.running, self.output()


@dataclass(frozen=True, slots=True)
class Cast:
    """The programs of a subject, not started yet, in the order of their start.

    Clients connect to `port`. The `counted` are what is measured and run on its core; those `beside` only serve it.
    """

    port: int
    counted: list[Program]
    beside: list[Program] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """One of what is measured.

    `missing` returns why it cannot be had here and how to get it, or an empty text. `pages` says whether it answers
    `/clock/now`.
    """

    name: str
    title: str
    path: str
    make: Callable[[Stage], Cast]
    missing: Callable[[], str] = str
    pages: bool = False


def _worker(stage: Stage, *, plain: bool = False) -> Cast:
    worker = (PlainWorker if plain else Worker)(stage.broker.url, stage.directory)
    return Cast(worker.port, [worker])


def _balanced(stage: Stage) -> Cast:
    workers = [Worker(stage.broker.url, stage.directory) for _ in range(2)]
    ports = [worker.port for worker in workers]
    balancer = Server("haproxy", stage, lambda port: balancer_command(port, ports, stage.directory))
    return Cast(balancer.port, [*workers, balancer])


def _python(name: str, *arguments: str) -> Callable[[Stage], Cast]:
    """Return how to make a program of this Python; `PORT` and `REDIS` among its arguments stand for the two ports."""

    def make(stage: Stage) -> Cast:
        def command(port: int) -> list[str]:
            ports = {"PORT": str(port), "REDIS": str(stage.broker.port)}
            return [sys.executable, *(ports.get(one, one) for one in arguments)]

        server = Server(name, stage, command)
        return Cast(server.port, [server])

    return make


def _peer(peer: peers.Peer) -> Subject:
    def make(stage: Stage) -> Cast:
        server = Server(peer.name, stage, lambda port: peer.command(port, stage.broker.port, stage.directory))
        feeder = peer.feeder(server.port, stage.broker.port)
        beside = [Program(f"{peer.name}-feeder", feeder, stage.directory)] if feeder else []
        return Cast(server.port, [server], beside)

    return Subject(peer.name, peer.title, peer.path, make, peer.missing)


def _baseline(name: str, title: str) -> Subject:
    return Subject(name, title, "/", _python(name, "-m", "daphne", "-v", "0", "-p", "PORT", f"bench.baselines:{name}"))


SUBJECTS = (
    Subject("floor", "the floor: a bare loop of send", "/", _python("floor", "-m", "bench.floor", "PORT", "REDIS")),
    Subject("worker", "this worker", "/ws/clock/", _worker, pages=True),
    Subject("daphne", "plain Daphne, the same application", "/ws/clock/", partial(_worker, plain=True), pages=True),
    _baseline("loop", "baseline: a loop per connection"),
    _baseline("group", "baseline: each one in the group"),
    *(_peer(peer) for peer in peers.PEERS),
    Subject("haproxy", "two workers behind HAProxy", "/ws/clock/", _balanced, balancer_missing, pages=True),
)
