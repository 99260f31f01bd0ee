"""An attack: a process that opens connections and ends them early, and counts what the worker keeps of them.

    python -m testbed.attacks.aborted --port 8001 --pid 4711 --baseline 30 --count 10000

It prints a line of JSON at the end: see `run`.
"""

import argparse
import json
import select
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, TypedDict

from testbed.accounting import open_files
from testbed.attacks.connection import Connection, State
from testbed.attacks.stages import STAGES, End, Plan, plans, tls_stages

# Connections that are opened at once, so that the worker finds some of them ended already.
BURST: Final = 10

# The descriptor of a connection is free so many seconds after its end; a busy machine may add some.
FREED_AFTER_S: Final = 2.0
ALLOWANCE_S: Final = 0.5

# The time between two counts of the worker's descriptors, and between two checks of what is due without data.
COUNT_INTERVAL_S: Final = 0.25
CHECK_INTERVAL_S: Final = 0.05

# Connections to one worker at once.
MAX_LIVE: Final = 400


class Report(TypedDict):
    """The result of an attack.

    `excess` is the largest number of descriptors that the worker had open beyond its baseline, the live connections,
    and those that had ended within `FREED_AFTER_S`.
    """

    counts: dict[str, int]
    seconds: float
    excess: int
    max_live: int
    longest_silence_s: float
    failures: list[str]
    failed: int


class Attack:
    """Any number of connections, each of which follows its plan."""

    def __init__(self, port: int, *, authority: str = "") -> None:
        self.port = port
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.longest_silence_s = 0.0
        self._epoll = select.epoll()
        self._context = ssl.create_default_context(cafile=authority) if authority else None
        self._connections: dict[int, Connection] = {}
        self._ended: deque[float] = deque()
        self._check_at = 0.0

    @property
    def open(self) -> int:
        """The number of sockets that are open on this side."""
        return len(self._connections)

    def live(self) -> int:
        """Return how many connections the worker has a reason to keep."""
        return sum(connection.is_live for connection in self._connections.values())

    def just_ended(self, seconds: float) -> int:
        """Return how many connections have ended within so many seconds."""
        limit = time.monotonic() - seconds
        while self._ended and self._ended[0] < limit:
            self._ended.popleft()
        return len(self._ended)

    def launch(self, plan: Plan) -> None:
        """Open a connection."""
        self.counts[plan.end] += 1
        try:
            connection = Connection(plan, self.port, self._epoll, self._context)
        except OSError as error:
            self.failures.append(f"{plan.stage.name}: cannot connect: {error!r}")
            self._ended.append(time.monotonic())
            return
        if connection.state == State.CLOSED:
            self._ended.append(connection.since)
        else:
            self._connections[connection.socket.fileno()] = connection
            if not connection.is_live:
                self._ended.append(connection.since)

    def poll(self, timeout_s: float) -> None:
        """Wait for events, at most so long, and handle all that is due."""
        for number, _ in self._epoll.poll(timeout_s):
            self._handle(number, Connection.on_event)
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK_INTERVAL_S
            for number in list(self._connections):
                self._handle(number, lambda connection: connection.check_time(now))

    def _handle(self, number: int, step: Callable[[Connection], None]) -> None:
        connection = self._connections[number]
        was_live, before, since = connection.is_live, connection.state, connection.since
        step(connection)
        if before == State.SILENT and not connection.is_live:
            self.longest_silence_s = max(self.longest_silence_s, connection.since - since)
        if was_live and not connection.is_live:
            self._ended.append(connection.since)
        if connection.state == State.CLOSED:
            del self._connections[number]
            if connection.failure:
                self.failures.append(connection.failure)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._epoll.close()


def run(attack: Attack, all_plans: Sequence[Plan], rate: float, pid: int, baseline: int) -> Report:
    """Carry out the plans, so many a second, and return the report."""
    began = due = time.monotonic()
    count_at = began + COUNT_INTERVAL_S
    excess = max_live = 0
    waiting = deque(all_plans)
    while waiting or attack.open:
        now = time.monotonic()
        if waiting and now >= due and attack.live() < MAX_LIVE:
            due = max(due, now - 0.1) + BURST / rate
            for _ in range(min(BURST, len(waiting))):
                attack.launch(waiting.popleft())
        attack.poll(0.01)
        if now >= count_at:
            count_at = now + COUNT_INTERVAL_S
            live = attack.live()
            max_live = max(max_live, live)
            excess = max(excess, open_files(pid) - baseline - live - attack.just_ended(FREED_AFTER_S + ALLOWANCE_S))
    return Report(
        counts=attack.counts,
        seconds=round(time.monotonic() - began, 1),
        excess=excess,
        max_live=max_live,
        longest_silence_s=round(attack.longest_silence_s, 1),
        failures=attack.failures[:20],
        failed=len(attack.failures),
    )


def main() -> None:
    """Attack a worker, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="the worker's")
    parser.add_argument("--baseline", type=int, required=True, help="descriptors that the worker has open without it")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=250, help="connections a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ends", type=End, nargs="+", default=list(End))
    parser.add_argument("--authority", default="", help="attack over TLS; the worker's certificate, a PEM file")
    options = parser.parse_args()
    attack = Attack(options.port, authority=options.authority)
    stages = tls_stages() if options.authority else STAGES
    all_plans = list(plans(options.count, options.seed, stages, options.ends))
    print(json.dumps(run(attack, all_plans, options.rate, options.pid, options.baseline)))
    attack.close()


if __name__ == "__main__":
    main()
