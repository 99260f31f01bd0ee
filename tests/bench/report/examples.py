"""Made-up measurements: every target just passes by them."""

from typing import Any

from bench.load.generator import ConnectResult, WindowResult
from bench.report.results import Results
from bench.trial.measurement import Measurement

REPETITIONS = 3

NEEDED = {
    "worker": ("0", "100", "400", "storm", "800", "stalled", "rate=10"),
    "floor": ("100", "400", "800"),
    "bun": ("400",),
    "nchan": ("400",),
}

CONNECT = ConnectResult(
    connected=400,
    seconds=1.0,
    non_200_answers=0,
    handshake_p99_ms=2.0,
    failures={},
)

WINDOW: dict[str, Any] = {
    "from_ms": 0,
    "to_ms": 8000,
    "seconds": 8.0,
    "late_p50_ms": 4.0,
    "late_p99_ms": 9.0,
    "largest_gap_ms": 90.0,
    "duplicates": 0,
    "steps_back": 0,
    "cpu_share": 0.5,
    "failures": {},
}


def measurement(subject: str, scenario: str, repetition: int) -> Measurement:
    """Return a measurement in which nothing is wrong."""
    clients = {"storm": 400, "stalled": 380, "rate=10": 400}.get(scenario) or int(scenario)
    is_stalled = scenario == "stalled"
    return Measurement(
        subject=subject,
        scenario=scenario,
        repetition=repetition,
        expected_clients=clients,
        seconds=8.0,
        cpu_ns={"0": 200_000_000, "rate=10": 400_000_000}.get(scenario, 8_000_000 * clients),
        memory_bytes=(50 << 20) + clients * 10 * 1024,
        published_ticks=800,
        window=WindowResult(clients=clients, frames=800 * clients, worst_ticks=800 if clients else 0, **WINDOW),
        connect=CONNECT,
        stalled_clients=20 if is_stalled else 0,
        closed_after_s=[15.0] * 20 if is_stalled else [],
    )


def passing() -> list[Measurement]:
    """Return all measurements that the targets need."""
    return [
        measurement(subject, scenario, repetition)
        for subject, scenarios in NEEDED.items()
        for scenario in scenarios
        for repetition in range(1, REPETITIONS + 1)
    ]


def results() -> Results:
    """Return the results of a run with these measurements."""
    machine: dict[str, str | int] = {"processor": "one", "cores": 2, "kernel": "Linux", "python": "3"}
    return Results(machine, 8.0, REPETITIONS, {"haproxy": "it needs haproxy"}, passing())
