"""The report: the summary as one line of JSON. docs/watch.schema.json is its schema."""

import json
from typing import Any, Final

from clock import __version__
from clock.watch.summary import Summary

# It rises when a reader of the older report would misread the newer one.
REPORT_VERSION: Final = 1


def report(summary: Summary) -> dict[str, Any]:
    """Return the report. Times are milliseconds unless their name says otherwise; what is unknown is null."""
    total = summary.total
    lateness = None
    if total.lateness is not None:
        lateness = {name: _rounded(value) for name, value in total.lateness._asdict().items()}
        lateness["worst_p99"] = _rounded(summary.worst_p99)
    failure = summary.failure
    return {
        "report": REPORT_VERSION,
        "version": __version__,
        "stream": summary.target.stream_url,
        "origin": summary.origin,
        "ok": summary.exit_code == 0,
        "exit_code": summary.exit_code,
        "failure": None if failure is None else {"kind": failure.kind.label, "message": str(failure)},
        "limits": [
            {"name": one.name, "limit": one.limit, "measured": _rounded(one.measured), "holds": one.holds}
            for one in summary.verdicts
        ],
        "seconds": _rounded(summary.seconds),
        "time": {"message": summary.message, "at": summary.at} if summary.message else None,
        "frames": total.frames,
        "rate_hz": _rounded(total.rate),
        "lateness_ms": lateness,
        "gap_ms": {"longest": _rounded(total.longest_gap), "long": total.long_gaps},
        "bound_ms": {"here": _rounded(summary.bound), "worker": _rounded(summary.worker_bound)},
        "synchronised": summary.synchronised,
        "steps": summary.steps,
        "probes": {
            "answered": summary.answers,
            "without_bound": summary.answers_without_bound,
            "failed": summary.unanswered,
            "last_error": summary.probe_error or None,
        },
        "page_versions": [*summary.versions],
        "viewers": {"count": summary.viewers, "connected": summary.connected},
        "connections": {
            "opened": summary.connections,
            "reconnects": summary.reconnects,
            "closed": summary.closes,
            "failed": summary.failures,
        },
        "stall_ms": _rounded(summary.stall),
    }


def report_line(summary: Summary) -> str:
    """Return the report as one line."""
    return json.dumps(report(summary))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
