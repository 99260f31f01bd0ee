"""The measurement of Redis: its CPU time for N subscribers, directly and through replicas.

    python -m bench.scaling.redis_measurement

It takes a minute or two and writes docs/redis.json. A real message of the ticker is published again and again, each
time when all subscribers have received the last one. So Redis never writes two at once, which would cost it less,
however busy the machine is: CPU time is measured, and not the time that passes. Only the delay of a replica is that.
"""

import argparse
import os
import resource
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.report.machine import describe
from bench.scaling.redis_figures import RedisFigures, Run
from bench.scaling.subscribers import Askers, Subscribers
from bench.subjects.gate import HEAD, publish
from testbed.accounting import cpu_ns
from testbed.processes import ROOT, Ticker, wait_until
from testbed.progress import Progress
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL, Subscriber, percentile

DATA: Final = ROOT / "docs" / "redis.json"

# Replicas and subscribers of each run.
RUNS: Final = ((0, 0), (0, 10), (0, 100), (0, 1_000), (1, 10), (1, 100), (1, 1_000), (4, 1_000))

# The core of the servers. `main` leaves it to them.
SERVERS_CORE: Final = min(os.sched_getaffinity(0))

TICKS: Final = 200  # of each run
WARM_UP_TICKS: Final = 10
IDLE_S: Final = 5.0
COMPARED_S: Final = 20.0
ASKERS: Final = 1_000

BACKGROUND_S: Final = 2.0

# A few milliseconds after the last tick all servers have done what it takes.
SETTLE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master and its replicas."""

    master: Server
    replicas: list[Server]

    @property
    def ports(self) -> list[int]:
        """The ports that workers subscribe to."""
        return [one.port for one in self.replicas or [self.master]]

    def cpu_us(self) -> list[float]:
        """Return the CPU time that each server has used, the master's first."""
        return [cpu_ns([one.pid]) / 1000 for one in (self.master, *self.replicas)]


@contextmanager
def cluster(directory: Path, replicas: int) -> Iterator[Cluster]:
    """Run the servers, all on one core."""
    with ExitStack() as exits:

        def start(*options: str) -> Server:
            server = Server(directory, *options)
            server.cores = {SERVERS_CORE}
            return exits.enter_context(server)

        master = start()
        found = [start("--replicaof", f"127.0.0.1 {master.port}") for _ in range(replicas)]
        wait_until(lambda: all(map(is_linked, found)), "the replicas follow their master", 60)
        yield Cluster(master, found)


def is_linked(replica: Server) -> bool:
    """Return whether a replica follows its master."""
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def capture(port: int) -> tuple[bytes, int]:
    """Return a message that a ticker publishes, and how many bytes it is on a subscription."""
    received = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        while not (head := HEAD.search(received)) or len(received) < head.end() + int(head[2]) + 2:
            received += connection.recv(1 << 16)
    end = head.end() + int(head[2])
    return received[head.end() : end], end + 2 - head.start()


def measure_run(running: Cluster, message: bytes, subscribers: int, ticks: int) -> Run:
    """Return the CPU time for each of so many ticks, without what the servers use as time passes."""
    command = publish(CHANNEL.encode(), message)
    with (
        Subscribers(running.ports, subscribers) as reading,
        socket.create_connection(("127.0.0.1", running.master.port)) as publisher,
    ):

        def tick(count: int) -> None:
            for _ in range(count):
                publisher.sendall(command)
                publisher.recv(64)
                reading.read(1)

        tick(WARM_UP_TICKS)
        idle = background(running)
        before, started = running.cpu_us(), time.monotonic()
        tick(ticks)
        time.sleep(SETTLE_S)
        elapsed_s = time.monotonic() - started
        used = [
            (after - start - each * elapsed_s) / ticks
            for after, start, each in zip(running.cpu_us(), before, idle, strict=True)
        ]
    replica_us = round(statistics.mean(used[1:]), 1) if running.replicas else None
    return Run(subscribers, len(running.replicas), round(used[0], 1), replica_us)


def background(running: Cluster, seconds: float = BACKGROUND_S) -> list[float]:
    """Return the CPU time in microseconds that each server uses in a second of now."""
    before, started = running.cpu_us(), time.monotonic()
    time.sleep(seconds)
    elapsed_s = time.monotonic() - started
    return [(after - start) / elapsed_s for after, start in zip(running.cpu_us(), before, strict=True)]


def measure_comparison(running: Cluster, askers: int) -> float:
    """Return the CPU time of a client that asks for the time, in microseconds."""
    with Askers(running.master.port, askers) as asking:
        asking.ask()
        (before,) = running.cpu_us()
        asking.ask()
        return (running.cpu_us()[0] - before) / askers


def measure_delay(running: Cluster, seconds: float) -> tuple[float, float]:
    """Return how much later a replica's messages arrive than its master's: the median and p99, in milliseconds."""
    master, replica = (Subscriber(port, CHANNEL) for port in (running.master.port, running.replicas[0].port))
    arrived: dict[int, list[float]] = {}
    with closing(master), closing(replica):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for ready in select.select([master.socket, replica.socket], [], [], left)[0]:
                source, sign = (master, -1) if ready is master.socket else (replica, 1)
                for tick in source.read():
                    arrived.setdefault(tick.at, []).append(sign * tick.received_ms)
    delays = [sum(times) for times in arrived.values() if len(times) == 2]
    return statistics.median(delays), percentile(delays, 99)


def measure(
    runs: Sequence[tuple[int, int]], *, ticks: int, idle_s: float, compared_s: float, askers: int
) -> RedisFigures:
    """Measure runs, each of so many replicas and subscribers, and return all figures but the machine."""
    progress = Progress(len(runs) * ticks / 50 + idle_s + compared_s + 20)
    with tempfile.TemporaryDirectory(prefix="clock-redis-") as name:
        directory = Path(name)
        with cluster(directory, 0) as running, Ticker(f"redis://{running.master.address}", directory) as ticker:
            ticker.wait_until_leader()
            message, size = capture(running.master.port)
            base_load = background(running, idle_s)[0] / 1e6
        with cluster(directory, 0) as running:
            comparison_us = measure_comparison(running, askers)
        with cluster(directory, 1) as running, Ticker(f"redis://{running.master.address}", directory) as ticker:
            ticker.wait_until_leader()
            delays = measure_delay(running, compared_s)
        progress.done(f"idle {base_load:.2%}, comparison {comparison_us:.1f} µs, replica {delays} ms later")
        found = []
        for replicas in dict.fromkeys(one for one, _ in runs):
            with cluster(directory, replicas) as running:
                for subscribers in (count for one, count in runs if one == replicas):
                    found.append(measure_run(running, message, subscribers, ticks))
                    progress.done(str(found[-1]))
    return RedisFigures(
        machine={},
        runs=found,
        message_bytes=size,
        base_load=round(base_load, 4),
        comparison_us=round(comparison_us, 1),
        added_p50_ms=round(delays[0], 3),
        added_p99_ms=round(delays[1], 3),
    )


def main() -> None:
    """Measure, and write docs/redis.json."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    machine = describe() | {"load": f"{os.getloadavg()[0]:.0f}"}
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {SERVERS_CORE} or {SERVERS_CORE})
    figures = measure(RUNS, ticks=TICKS, idle_s=IDLE_S, compared_s=COMPARED_S, askers=ASKERS)
    DATA.write_text(replace(figures, machine=machine).as_json())
    print(f"written: {DATA.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
