"""The page's estimate and its slewed clock, over simulated networks with known delays.

Each run has a seed and covers 3 minutes of simulated time: see tests/page/time/simulation.js.
"""

from typing import TypedDict

import pytest
from playwright.sync_api import Page

NETWORKS = (
    "loopback",
    "symmetric",
    "slow out",
    "slow back",
    "exponential",
    "spikes",
    "loss",
    "stalls",
    "drift ahead",
    "drift behind",
    "server with a bound",
    "step ahead",
    "step back",
)
SEEDS = 12

RUN = """async ([name, seeds, change]) => {
  const { NETWORKS, run } = await import("/simulation.js");
  const modules = {
    ...(await import("/drift.js")), ...(await import("/estimate.js")), ...(await import("/slewed_clock.js")),
  };
  return Array.from({ length: seeds }, (_, seed) => run(modules, { ...NETWORKS[name], ...change }, seed + 1));
}"""


class Result(TypedDict):
    """What a run returns."""

    outside: int
    shownOutside: int
    back: int
    contradictions: int
    steps: int
    widest: float
    samples: int
    median: float
    medianOfSmallest: float


def simulate(page: Page, network: str, seeds: int = SEEDS, **change: float) -> list[Result]:
    """Return the results of runs with this many seeds, with a property of the network changed."""
    results: list[Result] = page.evaluate(RUN, [network, seeds, change])
    return results


def test_all_networks_are_simulated(blank_page: Page) -> None:
    """NETWORKS lists every network of the simulation."""
    names = blank_page.evaluate("async () => Object.keys((await import('/simulation.js')).NETWORKS)")
    assert tuple(names) == NETWORKS


@pytest.mark.parametrize("network", NETWORKS)
def test_the_true_time_is_within_a_tight_bound_on_every_network(blank_page: Page, network: str) -> None:
    """Of the estimate and of the shown time, which never runs backwards.

    The bound is at most twice (half the smallest round trip of the last minute + the server's bound + the drift
    allowance).
    """
    for result in simulate(blank_page, network):
        assert result["samples"] > 10_000
        assert result["outside"] == result["shownOutside"] == result["back"] == 0
        assert result["steps"] == result["contradictions"] == ("step" in network)
        assert 0 < result["widest"] <= 2


def test_a_time_that_is_provably_wrong_is_corrected_faster(blank_page: Page) -> None:
    """After a slow first answer, the clock slews by 50 %; to the middle of the bound, by 5 %. It never jumps."""
    shown = """async () => {
      const { SlewedClock } = await import("/slewed_clock.js");
      const clock = new SlewedClock();
      const after = (now, offset, halfWidth) => clock.follow(now, { offset, halfWidth }).time - now;
      return [after(0, 20, 30), after(10, 0, 2), after(20, 0, 2), after(30, 0, 2), after(40, 0, 6), after(60, 0, 6)];
    }"""
    assert blank_page.evaluate(shown) == [20, 15, 10, 5, 4.5, 3.5]


def test_the_estimate_beats_the_smallest_round_trip(blank_page: Page) -> None:
    """Over 80 ± 30 ms, its median error is smaller than that of the smallest round trip of the last minute."""
    results = simulate(blank_page, "symmetric", 30)
    ours = sorted(result["median"] for result in results)[len(results) // 2]
    theirs = sorted(result["medianOfSmallest"] for result in results)[len(results) // 2]
    print(f"median error: {ours:.2f} ms by intersection, {theirs:.2f} ms by the smallest round trip")
    assert ours < theirs


def test_the_simulation_detects_a_bound_that_is_too_small(blank_page: Page) -> None:
    """If clocks drift faster than the allowance, and if a server is further off than its bound."""
    drifting = simulate(blank_page, "loopback", 3, drift=600e-6)
    assert all(result["outside"] + result["contradictions"] > 0 for result in drifting)
    dishonest = simulate(blank_page, "server with a bound", 3, error=40)
    assert all(result["outside"] + result["contradictions"] > 0 for result in dishonest)
