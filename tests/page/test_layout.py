"""Where things are on the page: on screens of any size, nothing overlaps, and the clock fits."""

import re

import pytest
from playwright.sync_api import Page

from testbed.processes import Worker
from tests.page.support.fake_timekeeper import open_page, open_settings, reading, settle, use_options

SCREENS = [(390, 844), (844, 390), (1366, 768), (3840, 2160)]
SMALL_SCREENS = [(320, 180), (240, 240), (320, 240), (480, 270), (480, 320), (568, 320), (320, 480), (320, 568)]
ZONES = "Europe/Berlin,Asia/Tokyo,America/New_York,Asia/Kolkata,Pacific/Auckland,America/Sao_Paulo"

# Returns which parts of the page the buttons cover, at the top of the page and after scrolling to its end.
COVERED = """() => {
  const covered = new Set();
  for (const top of [0, document.documentElement.scrollHeight]) {
    scrollTo(0, top);
    const buttons = document.getElementById("toolbar").getBoundingClientRect();
    for (const id of ["state", "notes", "grid"]) {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(id));
      for (const box of range.getClientRects()) {
        const meets = box.left < buttons.right && box.right > buttons.left;
        if (box.width && meets && box.top < buttons.bottom && box.bottom > buttons.top) covered.add(id);
      }
    }
  }
  scrollTo(0, 0);
  return [...covered];
}"""


def resize(page: Page, size: tuple[int, int]) -> None:
    """Resize the window, and wait until the page is painted."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    settle(page)


def test_the_digits_have_a_fixed_width_and_fit_on_every_screen(clock: Page) -> None:
    """On a phone as in a hall, whatever the digits are."""
    set_digit = """(digit) => {
      const two = `${digit}${digit}`;
      document.querySelector(".seconds span").firstChild.data = [two, two, two].join(":");
      document.querySelector(".hundredths").firstChild.data = `.${two}`;
      return document.querySelector(".time").getBoundingClientRect().width;
    }"""
    for width, height in SCREENS:
        resize(clock, (width, height))
        widths = [clock.evaluate(set_digit, digit) for digit in range(10)]
        assert max(widths) - min(widths) < 0.5
        assert 0.6 * width < max(widths) <= width or max(widths) > 2.5 * height
        root = "document.documentElement"
        assert clock.evaluate(f"[{root}.scrollWidth, {root}.scrollHeight]") == [width, height]


@pytest.mark.parametrize("more", ["", "&h=12&hundredths=on"])
def test_up_to_twelve_clocks_fit_on_every_screen(clock: Page, more: str) -> None:
    """They are never wider than the screen, and higher only if their labels alone fill it."""
    measure = """() => [
      Math.max(...[...document.querySelectorAll(".readout")].map((one) => one.getBoundingClientRect().right)),
      document.documentElement.scrollHeight,
    ]"""
    for count in (1, 2, 3, 6, 12):
        zones = ",".join((ZONES.split(",") * 2)[:count])
        use_options(clock, f"?tz={zones}{more}", reading(synchronised=False))
        for size in SCREENS:
            resize(clock, size)
            width, height = clock.evaluate(measure)
            assert width <= size[0], (size, count)
            assert height <= size[1] or (min(size) < 400 and count > 2), (size, count)


def test_the_buttons_never_cover_the_clock_or_its_state(clock: Page) -> None:
    """Also not on the smallest screens, where they are below the clock, and scrolling shows them."""
    for query in ("", f"?tz={ZONES}"):
        use_options(clock, query, reading("stopped", synchronised=False))  # the longest texts
        for size in SMALL_SCREENS + SCREENS:
            resize(clock, size)
            if not query or size[1] > 400:
                assert clock.evaluate(COVERED) == [], (query, size)


def test_on_a_small_screen_the_buttons_are_reachable(clock: Page) -> None:
    """The Tab key scrolls to them, and keys work as on any screen."""
    resize(clock, (320, 180))
    assert clock.evaluate("document.getElementById('toolbar').getBoundingClientRect().top") >= 180
    clock.keyboard.press("Tab")
    assert clock.evaluate("document.activeElement.id") == "speak"
    assert clock.evaluate("document.activeElement.getBoundingClientRect().bottom") <= 180
    open_settings(clock)


def test_the_cursor_and_the_buttons_disappear_when_idle(clock: Page) -> None:
    """After some seconds without input; a movement brings them back."""
    clock.mouse.move(50, 50)
    clock.wait_for_selector("body[data-idle=false]")
    clock.wait_for_selector("body[data-idle=true]", timeout=5_000)
    assert clock.evaluate("getComputedStyle(document.body).cursor") == "none"
    clock.mouse.move(100, 100)
    clock.wait_for_selector("body[data-idle=false]")


def test_the_clock_moves_against_burn_in(separate_page: Page, worker: Worker) -> None:
    """By a few pixels, one step per minute."""
    page = separate_page
    page.clock.install()
    open_page(page, worker)
    places = set()
    for _ in range(20):
        page.clock.fast_forward(60_000)
        places.add(page.evaluate("getComputedStyle(document.getElementById('clock')).transform"))
    assert len(places) > 10
    shifts = [abs(float(number)) for place in places for number in re.findall(r"-?[\d.]+", place)[4:]]
    assert 4 <= max(shifts) <= 6
