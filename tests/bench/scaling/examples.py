"""Made-up results of the benchmark and of Redis, which follow from known costs."""

from collections.abc import Mapping
from typing import Final

from bench.report.results import Results, Row
from bench.scaling.model import PRESENT, Costs, Model
from bench.scaling.points import CROWDS, OVERLOAD, PAGE_LOADS, STORM, TITLES
from bench.scaling.redis_figures import RedisFigures, Run
from bench.trial.figures import WORKER

COSTS: Final = Costs(
    ticks=0.03,
    viewer=10e-6,
    frame=6e-6,
    proxied_frame=20e-6,
    handshake=500e-6,
    request=100e-6,
    memory_bytes=20_480.0,
)

# The rates that the worker of these results chose for its viewers at auto.
CHOSEN: Final = {400: 100, 2_000: 50, 5_000: 20, 9_000: 10}

MACHINE: Final[dict[str, str | int]] = {
    "date": "2026-11-29",
    "processor": "a processor",
    "cores": 2,
    "kernel": "Linux 6",
    "python": "3.11",
    "broker": "Redis 7",
    "load": "0",
}

REDIS: Final = RedisFigures(
    machine=MACHINE,
    runs=[Run(0, 0, 20.0, None), Run(1_000, 0, 4_020.0, None), Run(1_000, 4, 60.0, 1_020.0)],
    message_bytes=300,
    base_load=0.02,
    comparison_us=20.0,
    added_p50_ms=0.1,
    added_p99_ms=0.3,
)


def results(costs: Costs = COSTS, slower: Mapping[str, float] = {}, admitted: int | None = None) -> Results:
    """Return results with these costs. A scenario in `slower` took so many times the CPU time.

    In the overload, the worker admitted as many as it predicts to have room for, unless `admitted` says otherwise.
    """
    model = Model(costs)
    rows = []
    for crowd in CROWDS:
        viewers = min(crowd.viewers, model.admitted(crowd.rate))
        frames = viewers * (crowd.rate or CHOSEN[crowd.viewers])
        load = slower.get(crowd.scenario, 1) * model.load(
            viewers, frames, workers=crowd.workers, has_probes=crowd.has_probes, is_proxied=crowd.is_proxied
        )
        us = 1e6 * load / frames if frames else None
        memory_mib = 50 + viewers * costs.memory_bytes / (1 << 20)
        missing = f"{crowd.viewers - viewers} viewers missing" if viewers < crowd.viewers else ""
        rows.append(row(crowd.scenario, crowd.side, load, us, memory_mib, missing))
    room = model.admitted(beside=800, beside_rate=100) if admitted is None else admitted
    rows += [
        row(STORM, WORKER, 1.0, remark=f"connected after {8_000 * costs.handshake:.2f} s"),
        row(PAGE_LOADS, WORKER, 1.0, remark=f"seconds {400 * 30 * costs.request:g}, files 30, mib 45"),
        row(OVERLOAD, "arrival", 1.0, remark=f"connected after 9.00 s, refused {8_000 - room:g}, admitted {room:g}"),
    ]
    return Results(machine=MACHINE, minutes=15.0, rows=rows, refuses_from=[*PRESENT])


def row(
    scenario: str, side: str, load: float, cpu_us: float | None = None, memory_mib: float = 50.0, remark: str = ""
) -> Row:
    """Return the figures of one side of a scenario."""
    return Row(TITLES[scenario], side, 8, 100.0, cpu_us, [], 100 * load, 4.0, 9.0, 20.0, None, memory_mib, 40.0, remark)
