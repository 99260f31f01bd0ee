"""Summaries for the tests of the displays, and for the picture in the documentation."""

import json
from typing import Any, Final

from clock.watch.failure import Failure, Kind
from clock.watch.limits import Limits, Measured
from clock.watch.statistics import Lateness, Span
from clock.watch.summary import Summary
from clock.watch.target import parse_target
from testbed.processes import ROOT

SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "watch.schema.json").read_text())

MEASURED: Final = Measured(rate=99.8, gap=71.6, lateness=3.9, bound=1.2)
LIMITS: Final = Limits(min_rate=95, max_gap=250, max_lateness=50, max_bound=20)

EVENTS: Final = [
    "12:47:12 (3 times) closed with 4012: the worker is going away",
    "12:47:12 (3 times) frames again, after 72 ms",
]


def summary(**changes: Any) -> Summary:
    """Return a summary of twenty viewers that have seen a rolling upgrade."""
    values: dict[str, Any] = {
        "target": parse_target("https://clock.example.org"),
        "origin": "https://clock.example.org",
        "seconds": 312.4,
        "message": "2026-11-22 12:48:00.12",
        "at": 1_795_351_680_120,
        "total": Span(624_012, 99.8, Lateness(0.6, 1.1, 3.9), 71.6, 0),
        "recent": Span(20_000, 100.0, Lateness(0.7, 1.0, 2.8), 14.2, 0),
        "worst_p99": 3.9,
        "viewers": 20,
        "connected": 20,
        "connections": 23,
        "closes": {"4012": 3},
        "failures": {},
        "bound": 1.2,
        "worker_bound": 0.9,
        "answers": 164,
        "answers_without_bound": 0,
        "unanswered": 0,
        "probe_error": "",
        "synchronised": True,
        "versions": ("5f0c2b7a91d4",),
        "steps": 0,
        "stall": 2.1,
        "verdicts": tuple(LIMITS.judge(MEASURED)),
    }
    return Summary(**{**values, **changes})


def failed() -> Summary:
    """Return the summary of a program that never received a frame."""
    nothing = Span(0, 0.0, None, 0.0, 0)
    return summary(
        message="",
        at=0,
        seconds=0.0,
        total=nothing,
        recent=nothing,
        worst_p99=None,
        connected=0,
        connections=0,
        closes={},
        failures={"refused": 1},
        bound=None,
        worker_bound=None,
        answers=0,
        unanswered=1,
        probe_error="ConnectionRefusedError: refused",
        synchronised=None,
        versions=(),
        verdicts=tuple(LIMITS.judge(Measured(0.0, 0.0, None, None))),
        failure=Failure(Kind.REFUSED, "clock.example.org:443 refused the connection: nothing listens there"),
    )
