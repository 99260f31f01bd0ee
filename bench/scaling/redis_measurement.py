"""The measurement of Redis: its CPU time for N subscribers, directly and through replicas, with a real ticker.

    python -m bench.scaling.redis_measurement

It takes two minutes, on two idle cores, and writes docs/redis.json. The servers share one core; the ticker and the
subscribers have the others.
"""

import argparse
import os
import resource
import select
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
from testbed.accounting import cpu_ns
from testbed.processes import ROOT, Ticker, wait_until
from testbed.progress import Progress
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL, Subscriber, percentile

DATA: Final = ROOT / "docs" / "redis.json"

# Replicas and subscribers of each run.
RUNS: Final = ((0, 0), (0, 10), (0, 100), (0, 1_000), (1, 10), (1, 100), (1, 1_000), (4, 1_000))

SECONDS: Final = 8
SETTLE_S: Final = 1.0
COMPARED_S: Final = 20.0
ASKERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master that a ticker publishes to, and its replicas."""

    master: Server
    replicas: list[Server]

    @property
    def ports(self) -> list[int]:
        """The ports that workers subscribe to."""
        return [one.port for one in self.replicas or [self.master]]


@contextmanager
def cluster(directory: Path, replicas: int, cores: set[int] | None) -> Iterator[Cluster]:
    """Run the servers and a ticker."""
    with ExitStack() as exits:
        master = exits.enter_context(server(directory, cores))
        found = [
            exits.enter_context(server(directory, cores, "--replicaof", f"127.0.0.1 {master.port}"))
            for _ in range(replicas)
        ]
        for one in found:
            wait_until(lambda one=one: is_linked(one), "the replica follows its master")  # type: ignore[misc]
        ticker = exits.enter_context(Ticker(f"redis://{master.address}", directory))
        ticker.wait_until_leader()
        yield Cluster(master, found)


def server(directory: Path, cores: set[int] | None, *options: str) -> Server:
    """Return a server for these cores, not started yet."""
    made = Server(directory, *options)
    made.cores = cores
    return made


def is_linked(replica: Server) -> bool:
    """Return whether a replica follows its master."""
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def measure_run(running: Cluster, subscribers: int, seconds: float) -> tuple[Run, int]:
    """Return the figures of so many subscribers, and the bytes of one tick on a connection."""
    servers = [running.master, *running.replicas]
    with Subscribers(running.ports, subscribers) as found:
        found.read(SETTLE_S)
        before = [cpu_ns([one.pid]) for one in servers]
        started = time.monotonic()
        found.read(seconds)
        elapsed_s = time.monotonic() - started
        loads = [(cpu_ns([one.pid]) - start) / 1e9 / elapsed_s for one, start in zip(servers, before, strict=True)]
        run = Run(
            subscribers,
            len(running.replicas),
            round(loads[0], 4),
            round(statistics.mean(loads[1:]), 4) if running.replicas else None,
            round(found.percentile_ms(50), 2),
            round(found.percentile_ms(99), 2),
        )
        return run, round(found.received_bytes / max(1, found.messages))


def measure_comparisons(running: Cluster, askers: int, seconds: int) -> float:
    """Return the load of clients that ask for the time, without that of the ticker."""
    with Askers(running.master.port, askers) as asking:
        before = cpu_ns([running.master.pid])
        time.sleep(seconds)
        idle = cpu_ns([running.master.pid]) - before
        before = cpu_ns([running.master.pid])
        asking.ask(seconds)
        return (cpu_ns([running.master.pid]) - before - idle) / 1e9 / seconds


def measure_delay(running: Cluster, seconds: float) -> tuple[float, float]:
    """Return how much later a replica's messages arrive than its master's: the median and p99, in milliseconds."""
    master, replica = (Subscriber(port, CHANNEL) for port in (running.master.port, running.replicas[0].port))
    arrived: dict[int, list[float]] = {}
    with closing(master), closing(replica):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for ready in select.select([master.socket, replica.socket], [], [], left)[0]:
                source = master if ready is master.socket else replica
                for tick in source.read():
                    sign = -1 if source is master else 1
                    arrived.setdefault(tick.at, []).append(sign * tick.received_ms)
    delays = [sum(times) for times in arrived.values() if len(times) == 2]
    return statistics.median(delays), percentile(delays, 99)


def measure(
    runs: Sequence[tuple[int, int]], *, seconds: float, compared_s: float, askers: int, cores: set[int] | None
) -> RedisFigures:
    """Measure runs, each of so many replicas and subscribers, and return all figures but the machine."""
    progress = Progress(len(runs) * (seconds + SETTLE_S + 2) + compared_s + 2 * seconds)
    found: list[Run] = []
    sizes: list[int] = []
    comparisons_load, delays = 0.0, (0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="clock-redis-") as name:
        for replicas in dict.fromkeys(one for one, _ in runs):
            with cluster(Path(name), replicas, cores) as running:
                for subscribers in (count for one, count in runs if one == replicas):
                    run, size = measure_run(running, subscribers, seconds)
                    found.append(run)
                    sizes.append(size)
                    progress.done(str(run))
                if replicas == 0:
                    comparisons_load = measure_comparisons(running, askers, round(seconds))
                elif replicas == 1:
                    delays = measure_delay(running, compared_s)
    return RedisFigures(
        {}, found, max(sizes), askers, round(comparisons_load, 4), *(round(delay, 3) for delay in delays)
    )


def main() -> None:
    """Measure, and write docs/redis.json."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    machine, cores = describe(), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[1:]) or set(cores))
    figures = measure(RUNS, seconds=SECONDS, compared_s=COMPARED_S, askers=ASKERS, cores=set(cores[:1]))
    DATA.write_text(replace(figures, machine=machine).as_json())
    print(f"written: {DATA.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
