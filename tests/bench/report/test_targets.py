"""Each target passes or fails as its figures say, by made-up measurements."""

from dataclasses import replace
from typing import Any

import pytest

from bench.report.targets import FAIL, INVALID, MET, SKIPPED, TARGETS, Verdict, judge
from bench.trial.measurement import Measurement
from tests.bench.report.examples import CONNECT, passing

DISCONNECTED = "stalled viewers: all 20 disconnected after (measured for 25 s)"


def verdicts(measurements: list[Measurement]) -> dict[str, Verdict]:
    """Return the verdicts by what they are on."""
    return {one.what: one for one in judge(TARGETS, measurements)}


def failed(measurements: list[Measurement]) -> set[str]:
    """Return the targets that fail."""
    return {what for what, one in verdicts(measurements).items() if one.verdict == FAIL}


def choose(measurements: list[Measurement], subject: str, scenario: str) -> list[Measurement]:
    """Return the repetitions of one subject and scenario."""
    return [one for one in measurements if (one.subject, one.scenario) == (subject, scenario)]


def change_window(measurements: list[Measurement], **changes: Any) -> None:
    """Change what clients received."""
    for one in measurements:
        one.window = replace(one.window, **changes)


def test_every_target_can_be_met() -> None:
    """By measurements in which nothing is wrong."""
    judged = verdicts(passing())
    assert len(judged) == len(TARGETS) == 18
    assert {one.verdict for one in judged.values()} == {MET}
    assert judged["memory per connection, from 100 to 800 clients"].measured == "10.0 KiB"


@pytest.mark.parametrize(
    ("subject", "scenario", "change", "target"),
    [
        ("worker", "800", {"frames": 600_000}, "CPU per frame, 800 clients"),
        ("worker", "100", {"frames": 66_000}, "CPU per frame, 100 clients"),
        ("worker", "400", {"worst_ticks": 799}, "delivered to the worst of 400 clients"),
        ("worker", "800", {"worst_ticks": 770}, "delivered to the worst of 800 clients"),
        ("floor", "400", {"late_p50_ms": 2.4}, "lateness p50, 400 clients"),
        ("floor", "400", {"late_p99_ms": 5.9}, "lateness p99, 400 clients"),
        ("bun", "400", {"late_p50_ms": 3.9}, "lateness p50, 400 clients, against Bun"),
        ("bun", "400", {"late_p99_ms": 8.9}, "lateness p99, 400 clients, against Bun"),
        ("nchan", "400", {"late_p50_ms": 3.9}, "lateness p50, 400 clients, against Nchan"),
        ("nchan", "400", {"late_p99_ms": 8.9}, "lateness p99, 400 clients, against Nchan"),
        ("worker", "storm", {"largest_gap_ms": 101.0}, "connection storm: largest gap of the other 400"),
        ("worker", "stalled", {"worst_ticks": 799}, "stalled viewers: delivered to the worst of the others"),
        ("worker", "stalled", {"late_p99_ms": 14.0}, "stalled viewers: lateness p99 of the others"),
    ],
)
def test_a_target_fails_by_what_clients_received(
    subject: str, scenario: str, change: dict[str, Any], target: str
) -> None:
    """Each fails at its limit, and no other target does."""
    measurements = passing()
    change_window(choose(measurements, subject, scenario), **change)
    assert failed(measurements) == {target}


def test_the_other_targets_fail_by_cpu_memory_connections_and_stalled_viewers() -> None:
    """The five targets that do not depend on what clients received."""
    measurements = passing()
    for one in choose(measurements, "worker", "0") + choose(measurements, "worker", "rate=10"):
        one.cpu_ns *= 2
    for one in choose(measurements, "worker", "800"):
        one.memory_bytes += 2 * 1024 * 1024
    for one in choose(measurements, "worker", "storm"):
        one.connect = replace(CONNECT, seconds=2.1)
    for one in choose(measurements, "worker", "stalled"):
        one.closed_after_s.pop()
    assert failed(measurements) == {
        "CPU without viewers",
        "CPU at rate=10, 400 clients",
        "memory per connection, from 100 to 800 clients",
        "connection storm: all 400 new clients connected after",
        DISCONNECTED,
    }
    assert verdicts(measurements)[DISCONNECTED].measured == "inf s"


def test_the_median_of_the_repetitions_counts() -> None:
    """One bad repetition of three does not fail a target; two do."""
    measurements = passing()
    repetitions = choose(measurements, "worker", "400")
    change_window(repetitions[:1], worst_ticks=100)
    assert failed(measurements) == set()
    change_window(repetitions[1:2], worst_ticks=100)
    assert failed(measurements) == {"delivered to the worst of 400 clients"}


@pytest.mark.parametrize(
    "change", [{"duplicates": 1}, {"steps_back": 1}, {"clients": 99}, {"failures": {"the connection was closed": 1}}]
)
def test_an_error_in_one_repetition_fails_every_target_that_uses_it(change: dict[str, Any]) -> None:
    """Whatever the figures are."""
    measurements = passing()
    change_window(choose(measurements, "worker", "100")[:1], **change)
    assert failed(measurements) == {"CPU per frame, 100 clients", "memory per connection, from 100 to 800 clients"}


def test_a_failed_handshake_fails_the_target() -> None:
    """Even if all others were quick."""
    measurements = passing()
    choose(measurements, "worker", "storm")[2].connect = replace(CONNECT, connected=399, failures={"no 101 in time": 1})
    verdict = verdicts(measurements)["connection storm: all 400 new clients connected after"]
    assert (verdict.verdict, verdict.reason) == (FAIL, "no 101 in time (1)")


def test_what_cannot_be_judged_has_a_reason() -> None:
    """The load generator was the bottleneck, the reference had errors, or a measurement is missing."""
    measurements = [one for one in passing() if one.subject != "bun"]
    change_window(choose(measurements, "worker", "800")[:1], cpu_share=0.93)
    change_window(choose(measurements, "nchan", "400")[:1], duplicates=2)
    judged = verdicts(measurements)
    assert judged["CPU per frame, 800 clients"].verdict == INVALID
    assert "93%" in judged["CPU per frame, 800 clients"].reason
    assert judged["lateness p50, 400 clients, against Nchan"].verdict == INVALID
    assert judged["lateness p50, 400 clients, against Bun"].verdict == SKIPPED
    assert judged["CPU per frame, 100 clients"].verdict == MET
