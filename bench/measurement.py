"""One measurement: what one subject did in one scenario of one repetition."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from bench.load import Entry, Window
from clock.contract import DEFAULT_RATE

# A load generator that uses more of its core than this is the bottleneck, and what it measured is not the subject.
LOAD_LIMIT = 0.9


@dataclass(slots=True)
class Measurement:
    """What one subject did in one scenario of one repetition.

    `expected` clients should have been there. `cpu_ns` is what all its processes used in `seconds`, and `memory_bytes`
    what they had to themselves at the end. `published` counts the ticks that the window is about. `closed_after_s` says
    when each of the `stalled` clients was closed, and `growth_bytes` by how much the memory grew meanwhile.
    """

    subject: str
    scenario: str
    repetition: int
    expected: int
    seconds: float
    cpu_ns: int
    memory_bytes: int
    published: int = 0
    window: Window | None = None
    entry: Entry | None = None
    stalled: int = 0
    closed_after_s: list[float] = field(default_factory=list)
    growth_bytes: int = 0

    @property
    def cpu_share(self) -> float:
        """The subject's CPU time, of one core."""
        return self.cpu_ns / 1e9 / self.seconds

    @property
    def cpu_us_per_frame(self) -> float:
        """CPU microseconds for each frame that came to a client."""
        assert self.window is not None
        return self.cpu_ns / 1000 / self.window.frames if self.window.frames else float("inf")

    @property
    def due(self) -> float:
        """How many of the published ticks each client should get: at a lower rate, one a period."""
        _, lower, rate = self.scenario.partition("rate=")
        return self.published * int(rate) / DEFAULT_RATE if lower else self.published

    @property
    def worst_share(self) -> float:
        """The share of the ticks due that came to the worst-off client."""
        assert self.window is not None
        return (self.window.worst or 0) / self.due if self.due else 0.0

    @property
    def median_share(self) -> float:
        """The share of the ticks due that came to the median client."""
        assert self.window is not None
        return (self.window.median or 0) / self.due if self.due else 0.0

    @property
    def invalid(self) -> str:
        """Why this says nothing about the subject; empty if it does."""
        if self.window is not None and self.window.cpu_share > LOAD_LIMIT:
            return f"the load generator used {100 * self.window.cpu_share:.0f} % of its core"
        return ""

    @property
    def remark(self) -> str:
        """What became of clients that never read; empty where there were none."""
        if not self.stalled:
            return ""
        closed = f"{len(self.closed_after_s)} of {self.stalled} closed"
        when = f" within {max(self.closed_after_s):.1f} s" if self.closed_after_s else ""
        return f"{closed}{when}, memory +{self.growth_bytes / (1 << 20):.1f} MiB"

    @property
    def faults(self) -> str:
        """What a client got that it must not, or did not get in; empty if nothing."""
        found: list[str] = []
        if self.entry is not None:
            found += [f"{reason} ({count})" for reason, count in self.entry.failures.items()]
            if self.entry.other_answers:
                found.append(f"{self.entry.other_answers} answers of /clock/now were not 200")
        if self.window is not None:
            found += [f"{reason} ({count})" for reason, count in self.window.failures.items()]
            if self.window.clients < self.expected:
                found.append(f"{self.expected - self.window.clients} clients missing")
            if self.window.duplicates:
                found.append(f"{self.window.duplicates} duplicates")
            if self.window.steps_back:
                found.append(f"{self.window.steps_back} steps back")
        return ", ".join(found)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Return what `as_json` told."""
        own = {one.name: told[one.name] for one in fields(cls)}
        window, entry = own["window"], own["entry"]
        return cls(**own | {"window": window and Window(**window), "entry": entry and Entry(**entry)})

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, with what is computed from it."""
        told = asdict(self)
        told["cpu_share"] = self.cpu_share
        if self.window is not None and self.window.clients:
            told |= {"worst_share": self.worst_share, "median_share": self.median_share}
            told["cpu_us_per_frame"] = self.cpu_us_per_frame if self.window.frames else None
        told |= {"invalid": self.invalid, "faults": self.faults}
        return told
