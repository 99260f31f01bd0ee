"""The rows that the displays show of a summary, as text."""

from typing import Final, NamedTuple

from clock.watch.journal import milliseconds
from clock.watch.limits import Verdict
from clock.watch.statistics import WINDOW_S, Lateness, Span
from clock.watch.summary import Summary

HEADINGS: Final = ("", f"last {WINDOW_S} s", "since the start", "limit")

NOTHING: Final = "-"


class Row(NamedTuple):
    """One row: what it is about, the last seconds, everything, and the limit. `holds` is None without a limit."""

    label: str
    recent: str
    total: str
    limit: str = ""
    holds: bool | None = None


def rows(summary: Summary) -> list[Row]:
    """Return all rows."""
    recent, total = summary.recent, summary.total
    limits = {verdict.name: verdict for verdict in summary.verdicts}
    return [
        Row("rate", _frequency(recent.rate), _frequency(total.rate), *_limit(limits.get("min_rate"))),
        Row("lateness, minimum", *_both("minimum", recent, total)),
        Row("lateness, median", *_both("median", recent, total)),
        Row("lateness, p99", *_both("p99", recent, total), *_limit(limits.get("max_lateness"))),
        Row(
            "longest gap",
            milliseconds(recent.longest_gap),
            milliseconds(total.longest_gap),
            *_limit(limits.get("max_gap")),
        ),
        Row("long gaps", f"{recent.long_gaps:,}", f"{total.long_gaps:,}"),
        Row("bound here", _bound(summary.bound), NOTHING, *_limit(limits.get("max_bound"))),
        Row("bound at the worker", NOTHING, _bound(summary.worker_bound)),
        Row("viewers", f"{summary.connected:,} of {summary.viewers:,}", _with_unit(summary.connections, "connection")),
        Row("reconnects", NOTHING, reconnects(summary)),
        Row("ticker's clock", synchronisation(summary), _with_unit(summary.steps, "step")),
    ]


def line(summary: Summary) -> str:
    """Return one line about the last seconds, for a display without a terminal."""
    lateness = summary.recent.lateness
    late = "unknown" if lateness is None else "/".join(f"{one:.1f}" for one in lateness) + " ms"
    return ", ".join(
        (
            summary.message or "no time yet",
            _frequency(summary.recent.rate),
            f"lateness {late}",
            f"longest gap {milliseconds(summary.recent.longest_gap)}",
            f"bound {_bound(summary.bound)}",
            f"{summary.connected:,} of {_with_unit(summary.viewers, 'viewer')}",
            _with_unit(summary.reconnects, "reconnect"),
        )
    )


def reconnects(summary: Summary) -> str:
    """Return how often connections were replaced, and with which close codes and failures."""
    reasons = [f"{reason}: {count:,}" for reason, count in {**summary.closes, **summary.failures}.items()]
    return f"{summary.reconnects:,}" + (f" ({', '.join(reasons)})" if reasons else "")


def synchronisation(summary: Summary) -> str:
    """Return whether the clock of the ticker's host is synchronised."""
    return {True: "synchronised", False: "unsynchronised", None: "unknown"}[summary.synchronised]


def _both(name: str, recent: Span, total: Span) -> tuple[str, str]:
    return _lateness(recent.lateness, name), _lateness(total.lateness, name)


def _lateness(lateness: Lateness | None, name: str) -> str:
    return milliseconds(None if lateness is None else getattr(lateness, name))


def _bound(bound: float | None) -> str:
    return "unknown" if bound is None else f"± {milliseconds(bound)}"


def _limit(verdict: Verdict | None) -> tuple[str, bool | None]:
    if verdict is None:
        return "", None
    if verdict.name == "min_rate":
        return f"≥ {verdict.limit:g} Hz", verdict.holds
    return f"≤ {verdict.limit:g} ms", verdict.holds


def _frequency(rate: float) -> str:
    """Return a rate as text for people: `99.9 Hz`."""
    return f"{rate:,.1f} Hz"


def _with_unit(count: int, singular: str) -> str:
    """Return a number of things: `1 viewer`, `2 viewers`."""
    return f"{count:,} {singular}{'' if count == 1 else 's'}"
