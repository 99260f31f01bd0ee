"""The page learns how fast its clock and the ticker's drift apart, over simulated networks and hours of simulated time.

Beside the page's estimate runs one that learns nothing and has a probe every 10 s: see drift_simulation.js.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import Final, TypedDict

import pytest
from playwright.sync_api import Page

NETWORKS: Final = (
    *("loopback", "symmetric", "slow out", "slow back", "exponential", "spikes", "loss", "server with a bound"),
)
# The other networks take as long again: `make soak` has them.
QUICK: Final = ("loopback", "slow back", "spikes", "server with a bound")
ALL_NETWORKS: Final = [name if name in QUICK else pytest.param(name, marks=pytest.mark.soak) for name in NETWORKS]
STEADY_CLOCKS: Final = ("no drift", "drift ahead", "drift behind", "largest drift")
CHANGING_CLOCKS: Final = ("warming up", "faster by 20 ppm", "slower by 20 ppm")
CHANGE_MS: Final = 1_800_000
SEEDS: Final = 3

RUN: Final = """async ([network, clock, seeds]) => {
  const { NETWORKS } = await import("/simulation.js");
  const { CLOCKS, compare } = await import("/drift_simulation.js");
  const module = await import("/estimate.js");
  return Array.from({ length: seeds }, (_, seed) => compare(module, NETWORKS[network], CLOCKS[clock], seed + 1));
}"""


class Result(TypedDict):
    """What a run of 90 minutes returns. Times are milliseconds."""

    outside: float
    excess: float
    widest: float
    mean: float
    probes: list[float]
    contradictions: int


class Compared(TypedDict):
    """The page's estimate, and one that learns nothing."""

    learned: Result
    unlearned: Result


def simulate(page: Page, network: str, clock: str, seeds: int = SEEDS) -> list[Compared]:
    """Return the results of runs with this many seeds."""
    results: list[Compared] = page.evaluate(RUN, [network, clock, seeds])
    return results


def pauses(result: Result, since: float, until: float = 5_400_000) -> list[float]:
    """Return the pauses between probes, from one time to another."""
    return [after - before for before, after in pairwise(result["probes"]) if since < after <= until]


@pytest.mark.parametrize("network", ALL_NETWORKS)
def test_the_true_time_stays_within_a_bound_that_is_no_wider(blank_page: Page, network: str) -> None:
    """If the drift is constant, changes with temperature, or changes by 20 ppm at once.

    The bounds of all runs together are no wider than with a probe every 10 s, on average and at most. Those of a single
    one are not wider by a tenth.
    """
    found: list[Compared] = []
    for clock in STEADY_CLOCKS + CHANGING_CLOCKS:
        for compared in simulate(blank_page, network, clock):
            assert (compared["learned"]["outside"], compared["learned"]["contradictions"]) == (0, 0), clock
            assert compared["learned"]["mean"] <= 1.1 * compared["unlearned"]["mean"], clock
            found.append(compared)
    learned, unlearned = ([run[kind] for run in found] for kind in ("learned", "unlearned"))
    ours, others = (mean(run["mean"] for run in runs) for runs in (learned, unlearned))
    our_widest, others_widest = (mean(run["widest"] for run in runs) for runs in (learned, unlearned))
    probes = sum(len(run["probes"]) for run in learned) / sum(len(run["probes"]) for run in unlearned)
    print(f"{network}: bound {ours:.2f} ms, and {others:.2f} without learning; {100 * probes:.0f} % of the probes")
    assert ours <= others
    assert our_widest <= others_widest
    assert probes < 0.7


def test_a_page_nearby_soon_sends_a_probe_a_minute(blank_page: Page) -> None:
    """After five minutes on a local network; and one every 40 s within an hour, if the server is off by up to 3 ms.

    Pauses are jittered by a third.
    """
    for network, since, least in (("loopback", 300_000, 55_000), ("server with a bound", 3_600_000, 40_000)):
        for clock in ("no drift", "drift ahead", "drift behind"):
            for compared in simulate(blank_page, network, clock):
                rare = pauses(compared["learned"], since)
                assert mean(rare) > least, (network, clock)
                assert max(rare) < 80_100, (network, clock)


def excess(compared: Sequence[Compared], kind: str) -> float:
    """Return by how much the true time was outside of the bound at most."""
    return max(run["learned" if kind == "learned" else "unlearned"]["excess"] for run in compared)


@pytest.mark.parametrize("clock", ["faster by 100 ppm", "slower by 100 ppm"])
@pytest.mark.parametrize("network", ALL_NETWORKS)
def test_a_large_change_of_the_drift_is_noticed(blank_page: Page, network: str, clock: str) -> None:
    """By frames, or by an answer, before the bound is wrong by more than 2 ms for more than half a minute.

    The page then sends more probes, and learns the drift anew.
    """
    for compared in simulate(blank_page, network, clock):
        learned = compared["learned"]
        assert learned["excess"] < 2
        assert learned["outside"] < 30_000
        if network == "loopback":
            assert min(pauses(learned, CHANGE_MS, CHANGE_MS + 30_000)) < 14_000
            assert mean(pauses(learned, CHANGE_MS + 900_000)) > 45_000


@pytest.mark.parametrize("clock", ["slewed by 500 ppm", "slewed by -500 ppm"])
@pytest.mark.parametrize("network", ALL_NETWORKS)
def test_a_slewed_clock_is_shown_about_as_well_as_without_learning(blank_page: Page, network: str, clock: str) -> None:
    """NTP slews at up to 500 ppm, and 200 ppm are allowed for. So either estimate is wrong for some time."""
    compared = simulate(blank_page, network, clock)
    assert excess(compared, "learned") < excess(compared, "unlearned") + 4


@pytest.mark.parametrize("clock", ["step ahead", "step back"])
@pytest.mark.parametrize("network", ALL_NETWORKS)
def test_a_step_is_noticed_as_soon_as_without_learning(blank_page: Page, network: str, clock: str) -> None:
    """By the next frame, or by the next answer; and everything that was learned is dropped."""
    for compared in simulate(blank_page, network, clock):
        learned, unlearned = compared["learned"], compared["unlearned"]
        assert 1 <= learned["contradictions"] <= 4
        assert learned["outside"] <= unlearned["outside"] + 15_000
        assert len(pauses(learned, CHANGE_MS, CHANGE_MS + 60_000)) > 10


# Adds samples [now, low, high] of the offset; returns whether each agreed, and what is known then.
LEARN: Final = """async (samples) => {
  const { Drift } = await import("/drift.js");
  const drift = new Drift();
  const agreed = samples.map(([now, low, high]) => drift.add(now, low, high));
  const { minimum, maximum, until, pause } = drift;
  return { agreed, minimum: minimum * 1e6, maximum: maximum * 1e6, until, pause };
}"""


class Learned(TypedDict):
    """What is known of the drift: limits in ppm, until when they are trusted, and the pause before the next probe."""

    agreed: list[bool]
    minimum: float
    maximum: float
    until: float
    pause: float


def learn(page: Page, *samples: tuple[float, float, float]) -> Learned:
    """Return what is known after these samples."""
    learned: Learned = page.evaluate(LEARN, [list(sample) for sample in samples])
    return learned


def test_a_single_sample_says_nothing_about_the_drift(blank_page: Page) -> None:
    """It may be 200 ppm either way, and the pause is as short as it can be."""
    learned = learn(blank_page, (0, -1, 1))
    assert (learned["minimum"], learned["maximum"], learned["pause"]) == (-200, 200, 10_000)
    assert learned["until"] == 0


def test_two_samples_limit_the_drift(blank_page: Page) -> None:
    """Between the flattest and the steepest line, and 20 ppm more on either side. They hold for as long as observed."""
    learned = learn(blank_page, (0, -1, 1), (100_000, 4, 6))
    assert learned["minimum"] == pytest.approx((4 - 1) / 100_000 * 1e6 - 20)
    assert learned["maximum"] == pytest.approx((6 + 1) / 100_000 * 1e6 + 20)
    assert learned["until"] == 200_000
    assert learned["pause"] == pytest.approx(1.5 / 40e-6)


def test_the_pause_is_never_longer_than_a_minute_or_than_was_observed(blank_page: Page) -> None:
    """However narrow the samples are."""
    assert learn(blank_page, (0, 0, 0), (20_000, 1, 1))["pause"] == 15_000
    assert learn(blank_page, (0, 0, 0), (1_000_000, 1, 1))["pause"] == 60_000


def test_samples_without_a_common_line_drop_what_was_learned(blank_page: Page) -> None:
    """The drift has changed. What the later samples say alone remains."""
    samples = [(60_000 * minute, 0.0, 0.1) for minute in range(10)]
    learned = learn(blank_page, *samples, (600_000, 3, 3.1), (660_000, 9, 9.1))
    assert learned["agreed"] == [True] * 10 + [False, False]
    assert learned["until"] <= 660_000 + 60_000
    assert learned["maximum"] > 99


def test_after_an_hour_a_sample_is_forgotten(blank_page: Page) -> None:
    """A device that warms up for hours does not contradict itself."""
    learned = learn(blank_page, *((60_000 * minute, minute**2 / 60, minute**2 / 60 + 30) for minute in range(100)))
    assert all(learned["agreed"])
    assert learned["until"] == pytest.approx(99 * 60_000 + 3_600_000, abs=60_001)
