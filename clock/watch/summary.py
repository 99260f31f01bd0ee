"""The summary: everything that is known at one moment, for the display and for the report."""

from collections import Counter
from typing import NamedTuple

from clock.watch.failure import EXIT_GOOD, EXIT_LIMIT, Failure, Kind
from clock.watch.limits import Limits, Measured, Verdict
from clock.watch.probe import Prober
from clock.watch.statistics import Span, Statistics
from clock.watch.target import Target
from clock.watch.timeline import Timeline


class Summary(NamedTuple):
    """What is known. Times are milliseconds, but for `seconds`. None is unknown.

    `seconds` have passed since all viewers had frames. `bound` is how far off the ticker's time may be on this machine,
    and `worker_bound` the highest bound that a worker stated. `closes` counts ends of connections by close code,
    `failures` attempts by kind. `stall` is the longest time for which this program itself stood still: frames may seem
    that much later than they are.
    """

    target: Target
    origin: str
    seconds: float
    message: str
    at: int
    total: Span
    recent: Span
    worst_p99: float | None
    viewers: int
    connected: int
    connections: int
    closes: dict[str, int]
    failures: dict[str, int]
    bound: float | None
    worker_bound: float | None
    answers: int
    answers_without_bound: int
    unanswered: int
    probe_error: str
    synchronised: bool | None
    versions: tuple[str, ...]
    steps: int
    stall: float
    verdicts: tuple[Verdict, ...] = ()
    failure: Failure | None = None

    @property
    def reconnects(self) -> int:
        """How many connections replaced an earlier one. Each may change the replica."""
        return max(0, self.connections - self.viewers)

    @property
    def exit_code(self) -> int:
        """What the program exits with."""
        if self.failure is not None:
            return self.failure.kind.exit_code
        return EXIT_GOOD if all(verdict.holds for verdict in self.verdicts) else EXIT_LIMIT


class Sources(NamedTuple):
    """What a summary is made of."""

    target: Target
    origin: str
    statistics: Statistics
    timeline: Timeline
    prober: Prober
    limits: Limits


def summarise(sources: Sources, now: float, *, seconds: float, stall: float, failure: Failure | None = None) -> Summary:
    """Return what is known now. `failure` is why the program ends, if it has a reason."""
    statistics, timeline, viewers = sources.statistics, sources.timeline, sources.statistics.viewers
    closes: Counter[int] = Counter()
    failures: Counter[str] = Counter()
    for viewer in viewers:
        closes.update(dict(viewer.closes))
        failures.update(dict(viewer.failures))
    total, worst_p99 = statistics.total(now), statistics.worst_p99()
    bound, worker_bound = timeline.bound(now), timeline.highest_answer_bound
    highest_bound = None if bound is None or worker_bound is None else max(bound, worker_bound)
    return Summary(
        target=sources.target,
        origin=sources.origin,
        seconds=seconds,
        message=statistics.newest_message,
        at=statistics.newest_at,
        total=total,
        recent=statistics.recent(now),
        worst_p99=worst_p99,
        viewers=len(viewers),
        connected=sum(viewer.is_connected for viewer in viewers),
        connections=sum(viewer.connections for viewer in viewers),
        closes={str(code): count for code, count in sorted(closes.items())},
        failures=dict(sorted(failures.items())),
        bound=bound,
        worker_bound=worker_bound,
        answers=timeline.answers,
        answers_without_bound=timeline.answers_without_bound,
        unanswered=sources.prober.failed,
        probe_error=sources.prober.last_error,
        synchronised=timeline.synchronised,
        versions=tuple(timeline.versions),
        steps=timeline.steps,
        stall=stall,
        verdicts=tuple(sources.limits.judge(Measured(total.rate, total.longest_gap, worst_p99, highest_bound))),
        failure=failure,
    )


def final_failure(statistics: Statistics, now: float) -> Failure | None:
    """Return why the stream has ended for a viewer, or None if all viewers have one at the end."""
    if not statistics.all_have_frames:
        return Failure(Kind.SILENT, "it was stopped before each viewer had received a frame")
    lost = statistics.loss(now)
    if lost is None:
        return None
    viewer, silence = lost
    kind = Kind.SILENT if viewer.last_failure is None or viewer.is_connected else viewer.last_failure.kind
    reason = "" if viewer.last_failure is None else f": {viewer.last_failure}"
    return Failure(kind, f"no frame for the last {silence / 1_000:.1f} s{reason}")
