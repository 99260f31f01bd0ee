"""A sample: what was measured of one side in one turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.load.results import ConnectResult, WindowResult

# The load generator is saturated if it is busy, or ready and waiting for a processor, for more than this share of the
# time.
MAX_BUSY_SHARE = 0.9

REFUSED = "closed by the server: 4013"


@dataclass(slots=True)
class Sample:
    """What was measured.

    `viewers` should be in the window. `cpu_ns` is the CPU time of the subject's programs in `seconds`, `waited_s` how
    long they were ready but had to wait for a processor, and `memory_bytes` their private memory at the end.
    `published_ticks` were published in the window. `connect` tells how viewers arrived meanwhile. `values` are figures
    of one scenario only.
    """

    viewers: int
    seconds: float
    cpu_ns: dict[str, int]
    waited_s: float
    memory_bytes: int
    published_ticks: int
    window: WindowResult
    connect: ConnectResult | None = None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def saturation(self) -> str:
        """A text if the load generator was saturated: then no figure is the subject's alone. Otherwise empty."""
        busy = self.window.cpu_share + self.window.waited_share
        if busy > MAX_BUSY_SHARE:
            return f"the load generator was busy or waiting for its core for {busy:.0%} of the time"
        return ""

    @property
    def lag_ms(self) -> float:
        """How long at most 99 % of the frames may have waited before the load generator read them."""
        return self.window.lags.percentile_ms(99) or 0.0

    @property
    def errors(self) -> str:
        """What viewers received and must not receive, and which did not connect; empty if all is well.

        A viewer that was refused while it connected is no error: an overloaded worker does that.
        """
        found: list[str] = []
        if self.connect is not None:
            found += _counts({reason: n for reason, n in self.connect.failures.items() if reason != REFUSED})
            if self.connect.non_200_answers:
                found.append(f"{self.connect.non_200_answers} answers from /clock/now were not 200")
        found += _counts(self.window.failures)
        if self.window.clients < self.viewers:
            found.append(f"{self.viewers - self.window.clients} viewers missing")
        if duplicates := sum(one.duplicates for one in self.window.classes.values()):
            found.append(f"{duplicates} duplicates")
        if steps_back := sum(one.steps_back for one in self.window.classes.values()):
            found.append(f"{steps_back} steps back")
        return ", ".join(found)

    @property
    def lost(self) -> int:
        """How many viewers or probes were refused, closed or failed since the sample before."""
        connecting = sum(self.connect.failures.values()) if self.connect is not None else 0
        return connecting + sum(self.window.failures.values())


# What was measured in one turn, by the name of the side.
Turn = dict[str, Sample]


def _counts(failures: Mapping[str, int]) -> list[str]:
    return [f"{reason} ({count})" for reason, count in failures.items()]
