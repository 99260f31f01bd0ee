"""When the page believes that its clock stood still."""

import pytest
from playwright.sync_api import Page

from tests.page.conftest import serve_module

# Checks at each of [wall clock, performance.now(), the `now` that was read before]. Returns whether the page slept.
CHECK = """async (readings) => {
  const { Interruptions } = await import("/time/interruptions.js");
  let wall = 0, running = 0, count = 0;
  Date.now = () => wall;
  performance.now = () => running;
  const interruptions = new Interruptions({ slept: () => (count += 1) });
  const results = readings.map((reading) => {
    let now;
    [wall, running, now] = reading;
    return interruptions.check(now);
  });
  return [results, count];
}"""


@pytest.fixture
def page(separate_page: Page) -> Page:
    """An empty page."""
    separate_page.route("http://modules.test/**", serve_module)
    separate_page.goto("http://modules.test/")
    return separate_page


def test_a_suspend_is_a_gain_of_the_wall_clock(page: Page) -> None:
    """By more than 50 ms, from one check to the next. NTP slews by less, and a clock that is set back is no suspend."""
    readings = [
        [10, 10, 10],
        [60, 20, 20],
        [5_060, 5_000, 5_000],
        [5_120, 5_009, 5_009],
        [5_130, 5_019, 5_019],
        [9, 5_029, 5_029],
    ]
    assert page.evaluate(CHECK, readings) == [[False, False, False, True, False, False], 1]


def test_a_late_check_is_no_suspend(page: Page) -> None:
    """The browser may be interrupted between its reading of `now` and the check."""
    assert page.evaluate(CHECK, [[10, 10, 10], [220, 220, 20], [230, 230, 230]]) == [[False] * 3, 0]
