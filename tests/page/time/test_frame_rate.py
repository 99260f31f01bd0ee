"""The rate at which frames arrive, by their `at`."""

import pytest
from playwright.sync_api import Page

# Returns the rate after each of these gaps between frames.
RATES = """async (gaps) => {
  const { FrameRate } = await import("/frame_rate.js");
  const rate = new FrameRate();
  return gaps.map((gap) => {
    rate.add(gap);
    return rate.value;
  });
}"""


def rates(page: Page, gaps: list[int]) -> list[int]:
    """Return the rate after each of these gaps, in milliseconds."""
    found: list[int] = page.evaluate(RATES, gaps)
    return found


@pytest.mark.parametrize("rate", [100, 50, 25, 20, 10, 5, 2, 1])
def test_it_is_that_of_the_frames(blank_page: Page, rate: int) -> None:
    """From the second gap on."""
    assert rates(blank_page, [1000 // rate] * 10) == [0] + [rate] * 9


def test_conflated_ticks_do_not_change_it(blank_page: Page) -> None:
    """A worker that is too slow skips one or two ticks, twice out of three times; the rate is still 100."""
    assert set(rates(blank_page, [10, 10, 20, 30] + [10, 20, 20, 10, 30, 20] * 3)[1:]) == {100}


def test_a_short_gap_does_not_change_it(blank_page: Page) -> None:
    """As after a reconnection, or between a conflated tick and the next one of the phase."""
    assert set(rates(blank_page, [100] * 5 + [110, 90] + [100] * 5 + [10] + [100] * 5)[1:]) == {10}


def test_a_change_shows_soon(blank_page: Page) -> None:
    """After two frames if it rises, and after six if it falls."""
    assert rates(blank_page, [10] * 7 + [100] * 6)[-1] == 10
    assert rates(blank_page, [100] * 7 + [10] * 2)[-1] == 100


def test_a_clock_that_was_set_back_does_not_change_it(blank_page: Page) -> None:
    """Nor does the first frame, which has no gap."""
    assert set(rates(blank_page, [20, 20, 20, -3_600_000, 20])[1:]) == {50}
    assert rates(blank_page, [0, -10]) == [0, 0]
