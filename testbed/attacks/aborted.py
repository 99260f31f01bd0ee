"""The attack: a process that opens connections and ends them early, and counts what the worker keeps of them.

    python -m testbed.attacks.aborted --port 8001 --pid 4711 --baseline 30 --count 10000

Prints a line of JSON in the end: see `Attack.report`.
"""

import argparse
import json
import select
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final

from testbed.accounting import open_files
from testbed.attacks.connection import STAGES, Connection, End, Plan, State, plans, tls_stages

# Connections that are opened at once, so that the worker finds some of them ended already.
BURST: Final = 10

# Seconds after its end in which a connection's descriptor is freed; and what a busy machine may add.
DEADLINE: Final = 2.0
ALLOWANCE: Final = 0.5

# Seconds between two counts of the worker's descriptors.
COUNT_INTERVAL: Final = 0.25

# Seconds between two looks at what is due without a word from the worker.
LOOK: Final = 0.05

# Connections to one worker at once.
MOST_HELD: Final = 400


class Attack:
    """Any number of connections, each of which goes its own way."""

    def __init__(self, port: int, *, authority: str = "") -> None:
        self.port = port
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.longest_silence = 0.0
        self._epoll = select.epoll()
        self._context = ssl.create_default_context(cafile=authority) if authority else None
        self._connections: dict[int, Connection] = {}
        self._ended: deque[float] = deque()
        self._look_at = 0.0

    @property
    def open(self) -> int:
        """The sockets that are open here."""
        return len(self._connections)

    def live(self) -> int:
        """Return how many connections the worker has a reason to keep."""
        return sum(connection.is_live for connection in self._connections.values())

    def just_ended(self, seconds: float) -> int:
        """Return how many have ended within so many seconds."""
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

    def turn(self, seconds: float) -> None:
        """Wait so long at most for something to come, and see to all that is due."""
        for number, _ in self._epoll.poll(seconds):
            self._see_to(number, Connection.on_event)
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            for number in list(self._connections):
                self._see_to(number, lambda connection: connection.pass_time(now))

    def _see_to(self, number: int, what: Any) -> None:
        connection = self._connections[number]
        was_live, before, since = connection.is_live, connection.state, connection.since
        what(connection)
        if before == State.SILENT and not connection.is_live:
            self.longest_silence = max(self.longest_silence, connection.since - since)
        if was_live and not connection.is_live:
            self._ended.append(connection.since)
        if connection.state == State.CLOSED:
            del self._connections[number]
            if connection.failure:
                self.failures.append(connection.failure)

    def close(self) -> None:
        """Let go of all."""
        for connection in self._connections.values():
            connection.close()
        self._epoll.close()


def run(attack: Attack, all_plans: Sequence[Plan], rate: float, pid: int, baseline: int) -> dict[str, Any]:
    """Carry out the plans, so many a second, and return the report.

    `excess` is the most descriptors that the worker had open beyond `baseline`, the connections that were live, and
    those that had ended within the deadline.
    """
    began = due = time.monotonic()
    count_at = began + COUNT_INTERVAL
    excess = most = 0
    waiting = deque(all_plans)
    while waiting or attack.open:
        now = time.monotonic()
        if waiting and now >= due and attack.live() < MOST_HELD:
            due = max(due, now - 0.1) + BURST / rate
            for _ in range(min(BURST, len(waiting))):
                attack.launch(waiting.popleft())
        attack.turn(0.01)
        if now >= count_at:
            count_at = now + COUNT_INTERVAL
            live = attack.live()
            most = max(most, live)
            excess = max(excess, open_files(pid) - baseline - live - attack.just_ended(DEADLINE + ALLOWANCE))
    return {
        "counts": attack.counts,
        "seconds": round(time.monotonic() - began, 1),
        "excess": excess,
        "most held": most,
        "longest silence": round(attack.longest_silence, 1),
        "failures": attack.failures[:20],
        "failed": len(attack.failures),
    }


def main() -> None:
    """Attack a worker, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="the worker's")
    parser.add_argument("--baseline", type=int, required=True, help="descriptors that the worker has open without it")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=250, help="connections a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ends", type=End, nargs="+", default=list(End))
    parser.add_argument("--authority", default="", help="of the worker's certificate, a PEM file: attacks TLS")
    options = parser.parse_args()
    attack = Attack(options.port, authority=options.authority)
    stages = tls_stages() if options.authority else STAGES
    all_plans = list(plans(options.count, options.seed, stages, options.ends))
    print(json.dumps(run(attack, all_plans, options.rate, options.pid, options.baseline)))
    attack.close()


if __name__ == "__main__":
    main()
