"""The results of a session: the verdict on each target, the figures of each scenario, and the points of the plots.

They are computed once, from all samples, and kept in docs/bench.json.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from bench.scenarios.capacity import AUTO_TARGETS, Capacity, judge_capacity, step
from bench.scenarios.catalogue import AUTO_SIZES, SCENARIOS, SIZES
from bench.scenarios.session import Session
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.peers import PEERS
from bench.trial import figures
from bench.trial.figures import FLOOR, WORKER, Turns
from bench.trial.scenario import Record, Scenario, verdicts
from bench.trial.target import Verdict, judge
from clock.broadcast.rate_control import BUSY_FROM, FULL_FROM, OVERBOOKING

# A subject of one process that waits for longer was not alone on its core: the machine was not idle.
MAX_WAITED_PERCENT = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one side of a scenario. A figure that does not exist is None.

    `cpu_times_floor` are the paired ratios of the turns; `remark` has the figures of one scenario only.
    """

    scenario: str
    side: str
    turns: int
    worst_rate: float | None
    cpu_us: float | None
    cpu_times_floor: list[float]
    core_percent: float | None
    late_p50_ms: float | None
    late_p99_ms: float | None
    largest_gap_ms: float | None
    probe_p99_ms: float | None
    memory_mib: float | None
    generator_percent: float | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the plots."""

    viewers: int
    late_p50_ms: float | None
    late_p99_ms: float | None
    worst_rate: float | None


@dataclass(slots=True)
class Results:
    """The results of one session. `not_measured` says why scenarios have no figures.

    `refuses_from` are the loads from which on the worker refused newcomers that request much, and all, and how many
    times as high they were without viewers at auto: settings of its code that the figures depend on.
    """

    machine: dict[str, str | int] = field(default_factory=dict)
    minutes: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    refuses_from: list[float] = field(default_factory=list)

    def as_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the results that `as_json` wrote."""
        members: dict[str, Any] = json.loads(text)
        return cls(
            **members
            | {
                "verdicts": [Verdict(**one) for one in members["verdicts"]],
                "rows": [Row(**one) for one in members["rows"]],
                "points": {name: [Point(**one) for one in ones] for name, ones in members["points"].items()},
            }
        )


def compute(session: Session, machine: dict[str, str | int], minutes: float) -> Results:
    """Return the results of what was measured."""
    results = Results(machine, minutes, refuses_from=[BUSY_FROM, FULL_FROM, OVERBOOKING])
    for scenario in SCENARIOS:
        record = session.records.get(scenario.name)
        if record is None:
            continue
        results.verdicts += verdicts(scenario, record)
        sides = dict.fromkeys(side for turn in record.turns for side in turn)
        results.rows += [row(scenario, side, record.turns) for side in sides]
        if record.problem:
            results.not_measured[scenario.title] = reason(record)
    for ladder, steps in session.steps.items():
        for viewers, record in steps.items():
            if record.problem:
                results.not_measured[f"{title_of(ladder)}, {viewers:,} viewers"] = reason(record)
    results.verdicts += capacity_verdict(session)
    results.points = points(session)
    return results


def reason(record: Record) -> str:
    """Return why a scenario was not measured: of what a program printed, the last line."""
    return record.problem.strip().splitlines()[-1].rstrip(".")


def row(scenario: Scenario, side: str, turns: Turns) -> Row:
    """Return the figures of one side of a scenario."""
    ratios = [
        figures.cpu_us_of(turn[side]) / figures.cpu_us_of(turn[FLOOR])
        for turn in turns
        if FLOOR in turn and side != FLOOR and turn[side].window.frames and turn[FLOOR].window.frames
    ]
    samples = figures.samples(turns, side)
    busy = [100 * (one.window.cpu_share + one.window.waited_share) for one in samples]
    return Row(
        scenario.title,
        side,
        len(samples),
        _number(figures.worst_rate(turns, side)),
        _number(figures.cpu_us(turns, side)) if scenario.is_steady else None,
        [round(ratio, 3) for ratio in ratios] if scenario.is_steady else [],
        _number(figures.core_percent(turns, side)),
        _number(figures.late_ms(turns, side, 50)),
        _number(figures.late_ms(turns, side, 99)),
        _number(figures.largest_gap_ms(turns, side)),
        _number(figures.probe_ms(turns, side, 99)),
        _number(figures.memory_mib(turns, side)),
        _number(max(busy)),
        remark(turns, side),
    )


def remark(turns: Turns, side: str) -> str:
    """Return what else was measured: the time to connect, the programs' shares, waits, values, and the first error."""
    samples = figures.samples(turns, side)
    words = []
    if any(one.connect is not None for one in samples[1:]):
        words.append(f"connected after {figures.connect_seconds(turns, side):.2f} s")
    programs = list(dict.fromkeys(name for one in samples for name in one.cpu_ns))
    if len(programs) > 1:
        words += [f"{name} {figures.program_percent(turns, side, name):.0f} % of a core" for name in programs]
    if (waited := figures.waited_percent(turns, side)) > MAX_WAITED_PERCENT:
        words.append(f"ready but waiting for a core for {waited:.0f} % of the time")
    names = list(dict.fromkeys(name for one in samples for name in one.values))
    words += [f"{name.replace('_', ' ')} {figures.value(turns, side, name):g}" for name in names]
    words += [text for text in (next((one.errors for one in samples if one.errors), ""),) if text]
    return ", ".join(words)


def capacity_verdict(session: Session) -> list[Verdict]:
    """Return the verdict on the viewers per core; none if no ladder was climbed."""
    if not session.steps:
        return []
    peers = {peer.name: capacity(session, peer.name) for peer in PEERS if has_turns(session.steps.get(peer.name, {}))}
    rows = {size: session.records[name] for name, size in AUTO_SIZES.items() if name in session.records}
    judged = {size: [judge(target, record.turns) for target in AUTO_TARGETS] for size, record in rows.items()}
    worker = Capacity.of(judged) if has_turns(rows) else None
    return [judge_capacity(worker, {SUBJECTS[name].title: one for name, one in peers.items()})]


def capacity(session: Session, subject: str) -> Capacity:
    """Return the capacity of a peer."""
    steps = {size: (step(subject, size), record) for size, record in session.steps[subject].items()}
    return Capacity.of({size: verdicts(scenario, record) for size, (scenario, record) in steps.items()})


def has_turns(records: Mapping[int, Record]) -> bool:
    """Return whether anything was measured."""
    return any(record.turns for record in records.values())


def points(session: Session) -> dict[str, list[Point]]:
    """Return the points of the plots by title: of the ladders, and of the scenarios of the worker and the floor."""
    found: dict[str, dict[int, Point]] = {}
    rows = [(f"{WORKER} auto", size, session.records.get(name)) for name, size in AUTO_SIZES.items()]
    rows += [(side, size, session.records.get(name)) for side in (WORKER, FLOOR) for name, size in SIZES.items()]
    steps = [(name, size, record) for name, ones in session.steps.items() for size, record in ones.items()]
    for name, size, record in [*rows, *steps]:
        if record is not None and record.turns:
            one = point(size, name.partition(" ")[0], record.turns)
            found.setdefault(title_of(name), {})[size] = one
    return {title: [ones[size] for size in sorted(ones)] for title, ones in found.items()}


def point(viewers: int, side: str, turns: Turns) -> Point:
    """Return a point of the plots: at the number of viewers that were served, if some were refused."""
    served = round(figures.served(turns, side))
    late = [_number(figures.late_ms(turns, side, percent)) for percent in (50, 99)]
    return Point(min(viewers, served) or viewers, late[0], late[1], _number(figures.worst_rate(turns, side)))


def title_of(ladder: str) -> str:
    """Return the title of a ladder."""
    subject, _, auto = ladder.partition(" ")
    return SUBJECTS[subject].title + (" at auto" if auto else "")


def _number(value: float) -> float | None:
    """Return a figure for JSON."""
    return round(value, 3) if math.isfinite(value) else None
