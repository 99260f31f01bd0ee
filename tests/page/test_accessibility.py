"""The page for people who use a screen reader: announcements, and the rules of axe."""

import json
import re
from typing import TypedDict, cast

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.support.fake_timekeeper import open_page, open_settings, reading, set_reading, use_options
from tests.page.test_display import STATES

THEMES = ("light", "dark", "contrast", "ffe-013")


class Violation(TypedDict):
    """A rule that the page breaks, and the elements that break it."""

    id: str
    nodes: list[dict[str, object]]


def test_screen_readers_read_the_time_only_on_request(clock: Page) -> None:
    """The digits are hidden from them; a key or a button announces the time once."""
    set_reading(clock, reading(still=True))
    assert clock.get_attribute(".time", "aria-hidden") == "true"
    clock.keyboard.press("t")
    expected = "18:33:05, Sunday 22 November 2026, Asia/Kathmandu. live, ± 2.4 ms"
    expect(clock.locator("#announcer")).to_have_text(re.compile(expected.replace("Sunday", "Sunday,?")))
    set_reading(clock, reading(synchronised=False))
    clock.locator("#speak").dispatch_event("click")
    expect(clock.locator("#announcer")).to_contain_text("live, ± 2.4 ms, the server's clock is not synchronised")


def test_a_change_of_state_is_announced_if_it_lasts(separate_page: Page, worker: Worker) -> None:
    """A short one is not, and neither is that the clock is live at the start."""
    page = separate_page
    page.clock.install()
    open_page(page, worker)
    announcer = page.locator("#announcer")
    page.clock.run_for(1_700)
    assert announcer.inner_text() == ""
    set_reading(page, reading("late"))
    page.clock.run_for(500)
    set_reading(page, reading())
    page.clock.run_for(1_700)
    assert announcer.inner_text() == ""
    set_reading(page, reading("holdover"))
    page.clock.run_for(1_700)
    expect(announcer).to_contain_text("no signal since")
    set_reading(page, reading())
    page.clock.run_for(1_700)
    expect(announcer).to_have_text("live")
    live = "[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=timer], output')]"
    assert page.evaluate(f"() => {live}.map((element) => element.id)") == ["announcer", "panel-problem"]


def test_axe_finds_no_violation_in_any_state(clock: Page) -> None:
    """With a message, with the settings, and with several clocks."""
    use_options(clock, "?date=maybe&offset=20")
    for state in STATES:
        set_reading(clock, reading(state))
        assert violations(clock) == [], state
    open_settings(clock)
    assert violations(clock) == []
    use_options(clock, "?tz=Asia/Tokyo,Europe/Berlin&label=T")
    assert violations(clock) == []


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_has_enough_contrast(clock: Page, theme: str) -> None:
    """In every state, with and without the settings. A theme changes colours only, so axe checks contrast only."""
    use_options(clock, f"?theme={theme}&date=maybe&offset=20")
    for now in (*(reading(state) for state in STATES), reading(bound=20)):
        set_reading(clock, now)
        assert violations(clock, "color-contrast") == [], now
    open_settings(clock)
    assert violations(clock, "color-contrast") == []


def test_axe_finds_no_violation_in_arabic_and_in_the_raw_view(page: Page, worker: Worker) -> None:
    """Arabic is written from right to left."""
    open_page(page, worker, "?lang=ar&raw=on")
    assert violations(page) == []


def violations(page: Page, *rules: str) -> list[str]:
    """Return the violations that axe finds, of these rules or of all. Transitions end first."""
    page.mouse.move(10, 10)
    page.mouse.move(20, 20)  # the buttons disappear when idle
    page.evaluate("() => document.getAnimations().forEach((animation) => animation.finish())")
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    axe = Axe("") if page.evaluate("() => 'axe' in window") else Axe()  # half a megabyte of script, once per page
    found = cast("list[Violation]", axe.run(page, options=options).response["violations"])
    return [f"{one['id']}: {json.dumps([node['html'] for node in one['nodes']])[:300]}" for one in found]
