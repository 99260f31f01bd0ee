"""The page's estimate and what it shows, against delays that are known, in a real browser and without a network.

Each run is 3 minutes of simulated time, with a seed: see tests/page/simulation.js.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from testbed.processes import ROOT

NETWORKS = (
    "loopback",
    "symmetric",
    "asymmetric",
    "asymmetric the other way",
    "exponential",
    "spikes",
    "loss",
    "stalls",
    "drift ahead",
    "drift behind",
    "a bound of the server",
    "a step ahead",
    "a step back",
)
SEEDS = 12

MODULES = {
    "/simulation.js": ROOT / "tests/page/simulation.js",
    "/estimate.js": ROOT / "clock/static/clock/estimate.js",
    "/shown.js": ROOT / "clock/static/clock/shown.js",
}

RUN = """async ([name, seeds, change]) => {
  const simulation = await import("/simulation.js");
  const modules = { ...(await import("/estimate.js")), ...(await import("/shown.js")) };
  const network = { ...simulation.NETWORKS[name], ...change };
  return seeds.map((seed) => simulation.run(modules, network, seed));
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that can load the modules."""
    page = browser.new_page()
    page.route("http://simulation.test/**", answer)
    page.goto("http://simulation.test/")
    yield page
    page.close()


def answer(route: Route) -> None:
    """Serve a module, or an empty page."""
    file = MODULES.get(route.request.url.removeprefix("http://simulation.test"))
    if file:
        route.fulfill(body=file.read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


def simulate(page: Page, network: str, seeds: int = SEEDS, **change: float) -> list[dict[str, Any]]:
    """Return what came out of runs with so many seeds, with something of the network changed."""
    results: list[dict[str, Any]] = page.evaluate(RUN, [network, list(range(1, seeds + 1)), change])
    return results


def test_all_networks_are_run(page: Page) -> None:
    """None is forgotten here."""
    names = page.evaluate("async () => Object.keys((await import('/simulation.js')).NETWORKS)")
    assert tuple(names) == NETWORKS


@pytest.mark.parametrize("network", NETWORKS)
def test_the_true_time_is_within_the_bound(page: Page, network: str) -> None:
    """In every run, of the estimate and of what is shown; and the shown time never goes back."""
    for result in simulate(page, network):
        assert result["samples"] > 10_000
        assert result["outside"] == result["shownOutside"] == result["back"] == 0
        assert result["steps"] == result["contradictions"] == ("step" in network)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_bound_is_no_wider_than_need_be(page: Page, network: str) -> None:
    """At most twice (half the smallest round trip of the last minute + the server's bound + the drift allowance)."""
    for result in simulate(page, network):
        assert 0 < result["widest"] <= 2


def test_what_is_proved_wrong_is_corrected_fast(page: Page) -> None:
    """After a first answer that was slow; what is merely not the middle is corrected slowly, and neither jumps."""
    shown = """async () => {
      const { Shown } = await import("/shown.js");
      const shown = new Shown();
      const after = (now, offset, halfWidth) => shown.follow(now, { offset, halfWidth }).time - now;
      return [after(0, 20, 30), after(10, 0, 2), after(20, 0, 2), after(30, 0, 2), after(40, 0, 6), after(60, 0, 6)];
    }"""
    assert page.evaluate(shown) == [20, 15, 10, 5, 4.5, 3.5]


def test_it_is_better_than_the_smallest_round_trip(page: Page) -> None:
    """Over 80 ± 30 ms the median error is less than that of believing the last minute's smallest round trip."""
    results = simulate(page, "symmetric", 30)
    ours = sorted(result["median"] for result in results)[len(results) // 2]
    theirs = sorted(result["medianOfSmallest"] for result in results)[len(results) // 2]
    print(f"median error: {ours:.2f} ms by intersection, {theirs:.2f} ms by the smallest round trip")
    assert ours < theirs


def test_the_simulation_can_fail(page: Page) -> None:
    """With clocks that drift apart faster than allowed for, and with a server that is further off than it says."""
    drifting = simulate(page, "loopback", 3, drift=600e-6)
    assert all(result["outside"] + result["contradictions"] > 0 for result in drifting)
    boastful = simulate(page, "a bound of the server", 3, wrong=40)
    assert all(result["outside"] + result["contradictions"] > 0 for result in boastful)
