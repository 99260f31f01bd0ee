"""All scenarios, in the order in which they run and are reported."""

from functools import partial
from typing import Final

from bench.scenarios import targets
from bench.scenarios.crowded_page import crowded_page
from bench.scenarios.page_loads import page_loads
from bench.scenarios.processes import PROCESSES, VIEWERS_EACH, one_and_two_workers
from bench.scenarios.stalled import STALLED, stalled
from bench.scenarios.steady import AUTO, Crowd, steady
from bench.scenarios.storms import connection_storm, overload
from bench.trial.figures import FLOOR, WORKER
from bench.trial.scenario import Open, Scenario


def pair(viewers: int, query: str = "", *, pages: bool = False) -> Open:
    """Return how to open a scenario in which the worker and the floor take turns."""
    return partial(steady, crowds=[Crowd(WORKER, viewers, query, pages), Crowd(FLOOR, viewers)])


def balanced(subject: str) -> Open:
    """Return how to open a scenario in which 400 viewers of two workers take turns with the floor."""
    return partial(steady, crowds=[Crowd(subject, VIEWERS_EACH), Crowd(FLOOR, VIEWERS_EACH)])


SCENARIOS: Final = (
    Scenario("800", "800 viewers at 100 frames/s", pair(800), targets.COST_800, minimum=12, maximum=40),
    Scenario("400 auto", "400 viewers at auto", pair(400, AUTO), targets.DELIVERED_400, minimum=8, maximum=8),
    Scenario("1600", "1,600 viewers at 100 frames/s", pair(1_600)),
    Scenario("2400", "2,400 viewers at 100 frames/s", pair(2_400)),
    Scenario("2000 auto", "2,000 viewers at auto", pair(2_000, AUTO), start_s=15),
    Scenario(
        "5000 auto",
        "5,000 viewers at auto",
        pair(5_000, AUTO),
        targets.VIEWERS_5000,
        minimum=8,
        maximum=20,
        start_s=24,
    ),
    Scenario(
        "9000 auto",
        "9,000 pages at auto, with their probes",
        pair(9_000, AUTO, pages=True),
        targets.PAGES_9000,
        minimum=12,
        maximum=24,
        start_s=38,
    ),
    Scenario(
        "crowded page",
        "a page in Chromium, with 8,999 others on its worker",
        crowded_page,
        targets.CROWDED_PAGE,
        minimum=2,
        maximum=3,
        turn_s=45,
    ),
    Scenario(
        "page loads",
        "400 pages load beside 400 viewers at auto",
        page_loads,
        targets.PAGE_LOADS,
        minimum=3,
        maximum=6,
        turn_s=5,
        is_steady=False,
    ),
    Scenario(
        "storm",
        "8,000 viewers connect beside 400, all at auto",
        connection_storm,
        targets.STORM,
        minimum=2,
        maximum=4,
        turn_s=26,
        is_steady=False,
    ),
    Scenario(
        "overload",
        "8,000 viewers at auto arrive beside 800 at 100 frames/s",
        overload,
        targets.OVERLOAD,
        minimum=2,
        maximum=4,
        turn_s=25,
        is_steady=False,
    ),
    Scenario(
        "two workers",
        "two workers on one port with 800 viewers at 100 frames/s, beside one with 400",
        one_and_two_workers,
        targets.TWO_WORKERS,
        minimum=10,
        maximum=30,
    ),
    Scenario("no proxy", "400 viewers on two workers, without a proxy", balanced(PROCESSES)),
    Scenario("HAProxy http", "400 viewers on two workers, HAProxy in `mode http`", balanced("haproxy-http")),
    Scenario("HAProxy tcp", "400 viewers on two workers, HAProxy in `mode tcp`", balanced("haproxy-tcp")),
    Scenario(
        "stalled",
        f"{STALLED} of 400 viewers stop reading",
        stalled,
        targets.STALLED_VIEWERS,
        minimum=2,
        maximum=3,
        turn_s=11,
    ),
    Scenario("idle", "no viewers", pair(0), targets.IDLE, minimum=4, maximum=8),
)

# The scenarios that show how many viewers the worker serves at auto, and at 100 frames per second.
AUTO_SIZES: Final = {"400 auto": 400, "2000 auto": 2_000, "5000 auto": 5_000, "9000 auto": 9_000}
SIZES: Final = {"800": 800, "1600": 1_600, "2400": 2_400}
