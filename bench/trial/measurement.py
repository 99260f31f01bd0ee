"""A measurement: the figures of one subject in one scenario, of one repetition."""

from dataclasses import dataclass, field
from typing import Any, Self

from bench.load.generator import ConnectResult, WindowResult
from clock.contract import DEFAULT_RATE

# Above this share of its core, the load generator is the bottleneck, and the figures are not the subject's.
LOAD_LIMIT = 0.9


@dataclass(slots=True)
class Measurement:
    """The figures of one subject in one scenario.

    `expected_clients` should be in the window. `cpu_ns` is the CPU time of the subject's processes in `seconds`, and
    `memory_bytes` their private memory at the end. `published_ticks` were published in the window. In the scenario
    "stalled", `closed_after_s` has the time until the server disconnected each client that it did disconnect, and
    `memory_growth_bytes` the growth of the memory meanwhile.
    """

    subject: str
    scenario: str
    repetition: int
    expected_clients: int
    seconds: float
    cpu_ns: int
    memory_bytes: int
    published_ticks: int
    window: WindowResult
    connect: ConnectResult | None = None
    stalled_clients: int = 0
    closed_after_s: list[float] = field(default_factory=list)
    memory_growth_bytes: int = 0

    @property
    def cpu_share(self) -> float:
        """The subject's CPU time as a share of one core."""
        return self.cpu_ns / 1e9 / self.seconds

    @property
    def cpu_us_per_frame(self) -> float:
        """The subject's CPU time per frame that a client received, in microseconds; infinite without frames."""
        return self.cpu_ns / 1000 / self.window.frames if self.window.frames else float("inf")

    @property
    def worst_share(self) -> float:
        """The share of the ticks due that the worst client received. At a lower rate, one tick per period is due."""
        _, lower, rate = self.scenario.partition("rate=")
        due = self.published_ticks * int(rate) / DEFAULT_RATE if lower else self.published_ticks
        return self.window.worst_ticks / due if due else 0.0

    @property
    def invalid(self) -> str:
        """Why this measurement says nothing about the subject; empty if it is valid."""
        if self.window.cpu_share > LOAD_LIMIT:
            return f"the load generator used {self.window.cpu_share:.0%} of its core"
        return ""

    @property
    def errors(self) -> str:
        """What clients received and must not receive, and which clients did not connect; empty if all is well."""
        found: list[str] = []
        if self.connect is not None:
            found += [f"{reason} ({count})" for reason, count in self.connect.failures.items()]
            if self.connect.non_200_answers:
                found.append(f"{self.connect.non_200_answers} answers from /clock/now were not 200")
        found += [f"{reason} ({count})" for reason, count in self.window.failures.items()]
        if self.window.clients < self.expected_clients:
            found.append(f"{self.expected_clients - self.window.clients} clients missing")
        if self.window.duplicates:
            found.append(f"{self.window.duplicates} duplicates")
        if self.window.steps_back:
            found.append(f"{self.window.steps_back} steps back")
        return ", ".join(found)

    @property
    def remark(self) -> str:
        """What the server did with stalled viewers; empty in the other scenarios."""
        if not self.stalled_clients:
            return ""
        closed = f"{len(self.closed_after_s)} of {self.stalled_clients} disconnected"
        when = f" within {max(self.closed_after_s):.1f} s" if self.closed_after_s else ""
        return f"{closed}{when}, memory +{self.memory_growth_bytes / (1 << 20):.1f} MiB"

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> Self:
        """Return the measurement that `dataclasses.asdict` turned into `members`."""
        window, connect = WindowResult(**members["window"]), members["connect"]
        return cls(**members | {"window": window, "connect": connect and ConnectResult(**connect)})
