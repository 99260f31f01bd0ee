"""The part of docs/scaling.md that is generated: between the markers `<!-- scaling -->` and `<!-- /scaling -->`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bench.report.machine import in_words
from bench.report.results import Results
from bench.report.tables import Rows, as_markdown, between_markers
from bench.scaling import agreement, limits, plan
from bench.scaling.agreement import Comparison, compare
from bench.scaling.model import Costs, Model
from bench.scaling.points import TITLES, Measured, NotMeasured
from bench.scaling.redis_figures import TICKS_PER_S, RedisFigures, Run

MARKER: Final = "scaling"
DOCUMENT, DATA, REDIS_DATA = "scaling.md", "bench.json", "redis.json"

COST_HEADINGS: Final = ("what", "CPU time of one core", "measured in")
REDIS_HEADINGS: Final = (
    "subscribers",
    "of",
    "master: µs per tick",
    "a replica: µs per tick",
    "µs per subscriber",
    "load at 100 ticks/s",
)

Table = tuple[str, tuple[str, ...], Rows]  # title, headings, rows
Format = Callable[[tuple[str, ...], Rows], str]


@dataclass(frozen=True, slots=True)
class Report:
    """The model, with what it was made from and how it compares with the measured points."""

    results: Results
    measured: Measured
    redis: RedisFigures
    model: Model
    comparisons: list[Comparison]

    @classmethod
    def of(cls, results: Results, redis: RedisFigures) -> Self:
        """Return the report on these results.

        Raises:
            NotMeasured: the results lack a scenario.
        """
        measured = Measured.of(results)
        model = Model(Costs.of(measured))
        return cls(results, measured, redis, model, compare(model, measured))

    @property
    def verdict(self) -> str:
        """The agreement in a sentence."""
        checks = [one for one in self.comparisons if one.use == agreement.CHECK]
        failed = agreement.disagreements(self.comparisons)
        worst = max(checks, key=lambda one: abs(one.difference))
        return (
            f"{len(checks) - len(failed)} of {len(checks)} checks agree within {agreement.TOLERANCE:.0%}; the largest"
            f" difference is {worst.difference:+.0%} ({worst.title}: {worst.figure})."
        ).replace("%", " %")

    @property
    def chosen(self) -> str:
        """The rates at auto, which are not checked: it takes a worker seconds to raise them."""
        points = [one for one in self.measured.points if one.crowd.rate is None]
        measured = (f"{one.viewers:,} viewers {one.frames / one.viewers:.0f}" for one in points)
        return (
            f"At auto the benchmark's crowds received, in frames/s: {', '.join(measured)}. The model says what a worker"
            f" chooses in the end: {', '.join(str(self.model.auto_rate(one.viewers)) for one in points)}."
        )

    @property
    def conditions_of_redis(self) -> str:
        """Where Redis was measured, in a sentence."""
        machine = self.redis.machine
        return (
            f"Redis: {in_words(machine)}, {str(machine['broker']).partition(' sha')[0]}, {machine['date']};"
            f" load average {machine['load']} when it began."
        )

    @property
    def replica(self) -> str:
        """The size of a tick, and what a replica adds to its lateness, in a sentence."""
        redis = self.redis
        return (
            f"A tick is {redis.message_bytes} bytes on a subscription. From a replica it arrives"
            f" {redis.added_p50_ms:.2f} ms later than from its master at the median, and {redis.added_p99_ms:.2f} ms"
            " later at p99."
        )

    def tables(self) -> list[Table]:
        """Return all tables in the order of the document."""
        storm = f"Until {limits.STORM_VIEWERS:,} viewers are back, simulated"
        return [
            ("What things cost", COST_HEADINGS, cost_rows(self.model.costs)),
            ("The model and the measured points", agreement.HEADINGS, agreement.rows(self.comparisons)),
            ("One worker", plan.WORKER_HEADINGS, plan.worker_rows(self.model)),
            ("What viewers need", plan.PLAN_HEADINGS, plan.plan_rows(self.model, self.redis)),
            ("Redis, measured", REDIS_HEADINGS, [redis_row(self.redis, run) for run in self.redis.runs]),
            ("Limits", limits.HEADINGS, limits.limit_rows(self.model, self.redis)),
            (storm, limits.STORM_HEADINGS, limits.storm_rows(self.model)),
        ]

    def text(self, form: Format, heading: str = "") -> str:
        """Return everything as text. `form` formats a table, and `heading` precedes the title of each."""
        notes = [
            f"Workers and HAProxy: {in_words(self.results.machine)}, {self.results.machine['date']}.",
            self.conditions_of_redis,
            self.verdict,
            self.chosen,
            self.replica,
        ]
        tables = [f"{heading}{title}\n\n{form(headings, rows)}" for title, headings, rows in self.tables()]
        return "\n\n".join([*notes, *tables])


def cost_rows(costs: Costs) -> Rows:
    """Return a row under `COST_HEADINGS` for each cost."""
    both = f"{TITLES['800']}; {TITLES['9000 auto']}"
    return [
        ["ticks of a worker, in a second", f"{1e3 * costs.ticks:.1f} ms", TITLES["idle"]],
        ["a frame", f"{1e6 * costs.frame:.1f} µs", both],
        ["a viewer in a second, apart from its frames", f"{1e6 * costs.viewer:.1f} µs", both],
        ["a handshake, with the frames that are sent meanwhile", f"{1e6 * costs.handshake:.0f} µs", TITLES["storm"]],
        ["another request, such as a probe", f"{1e6 * costs.request:.0f} µs", TITLES["page loads"]],
        ["a frame in HAProxy, in addition", f"{1e6 * costs.proxied_frame:.1f} µs", TITLES["HAProxy http"]],
    ]


def redis_row(redis: RedisFigures, run: Run) -> list[str]:
    """Return the row of a run under `REDIS_HEADINGS`. The last two columns are those of the server with subscribers."""
    busy_us = run.master_us if run.replica_us is None else run.replica_us
    here = run.subscribers / max(1, run.replicas)
    return [
        f"{run.subscribers:,}",
        f"{run.replicas} replica{'s' if run.replicas > 1 else ''}" if run.replicas else "the master",
        f"{run.master_us:,.0f}",
        "-" if run.replica_us is None else f"{run.replica_us:,.0f}",
        f"{(busy_us - redis.publish_us) / here:.1f}" if here else "-",
        f"{100 * (redis.base_load + (busy_us - redis.publish_us) * TICKS_PER_S / 1e6):.1f} %",
    ]


def load(docs: Path, results: Path | None = None) -> Report:
    """Return the report on the results in a folder of documents, or on those of another file.

    Raises:
        NotMeasured: a file or a scenario is missing.
    """
    try:
        found = Results.from_json((results or docs / DATA).read_text())
        redis = RedisFigures.from_json((docs / REDIS_DATA).read_text())
    except FileNotFoundError as error:
        raise NotMeasured(str(error.filename)) from error
    return Report.of(found, redis)


def generated(docs: Path, results: Path | None = None) -> str:
    """Return the generated part of docs/scaling.md."""
    try:
        return load(docs, results).text(as_markdown, "### ")
    except NotMeasured as lack:
        return f"Not measured yet: {lack}. Run `make bench` on two idle cores."


def write(docs: Path, results: Path | None = None) -> Path:
    """Update docs/scaling.md, and return its path."""
    path = docs / DOCUMENT
    path.write_text(between_markers(path.read_text(), generated(docs, results), MARKER))
    return path
