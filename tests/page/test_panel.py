"""The settings panel, and the keys."""

import pytest
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.support.fake_timekeeper import open_page, open_settings, reading, settle


def test_everything_works_by_keyboard(page: Page, worker: Worker) -> None:
    """Opening, changing and closing the settings, and full screen. The address keeps the settings."""
    open_page(page, worker, first=reading(still=True))
    open_settings(page)
    assert page.evaluate("document.activeElement.name") == "tz"
    assert page.input_value("[name=tz]") == ""  # the key that opened the panel is not typed
    page.keyboard.type("Asia/Tokyo, Mars/Olympus")
    page.keyboard.press("Tab")
    assert page.locator(".zone-name").all_inner_texts() == ["Asia/Tokyo"]
    assert "Mars/Olympus" in page.inner_text("#panel-problem")
    page.keyboard.type("tea")
    assert page.inner_text(".label") == "tea"
    for field, key in (("h", "ArrowDown"), ("mirror", " ")):
        page.focus(f"[name={field}]")
        page.keyboard.press(key)
    page.wait_for_url("**/clock/?tz=Asia/Tokyo&label=tea&h=12&mirror=on")
    assert page.get_attribute("#embed-link", "href") == "/clock/embed?tz=Asia/Tokyo&label=tea&h=12&mirror=on"
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    page.keyboard.press("f")
    page.wait_for_selector("html:fullscreen")
    page.keyboard.press("f")
    page.wait_for_selector("html:not(:fullscreen)")
    before = page.inner_text(".time")
    page.reload()
    settle(page)
    assert page.inner_text(".time") == before
    open_settings(page)
    page.focus("#reset")
    page.keyboard.press("Enter")
    page.wait_for_url("**/clock/")


@pytest.mark.parametrize(
    "query",
    [
        (
            "?tz=Asia/Tokyo,Europe/Berlin&label=&label=B&h=12&date=off&seconds=off&hundredths=on&mirror=on"
            "&theme=ffffff-003366&bg=transparent&size=40&offset=-80&rate=10&lang=fr"
        ),
        "?label=Berlin%2C%20Germany",
        "?tz=Europe/Berlin,Asia/Tokyo,UTC&label=Berlin%2C%20Germany&label=&label=%2C%2BU/T%26C%2C%2C",
    ],
)
def test_the_panel_keeps_the_options_of_the_address(page: Page, worker: Worker, query: str) -> None:
    """Opened on any options, it changes none of them."""
    open_page(page, worker, query)
    labels = page.locator(".label").all_inner_texts()
    open_settings(page)
    page.locator("form").dispatch_event("change")
    settle(page)
    assert page.evaluate("location.pathname + location.search") == f"/clock/{query}"
    assert page.get_attribute("#embed-link", "href") == f"/clock/embed{query}"
    assert page.locator(".label").all_inner_texts() == labels
    assert not page.locator("#problems, #panel-problem").filter(visible=True).count()
    assert page.evaluate("window.timekeeperOptions.rate") == (10 if "rate" in query else "auto")


def test_the_settings_show_the_rate_at_which_frames_arrive(page: Page, worker: Worker) -> None:
    """The server chooses it, and may change it."""
    open_page(page, worker)
    open_settings(page)
    assert page.input_value("[name=rate]") == "auto"
    for gap, rate in ((10, 100), (40, 25), (100, 10)):
        page.evaluate("(gap) => { timekeeper.gap = gap; }", gap)
        expect(page.locator("#rate-now")).to_have_text(f"Frames per second now: {rate}")
    page.select_option("[name=rate]", "50")
    page.wait_for_url("**/clock/?rate=50")
    assert page.evaluate("window.timekeeperOptions.rate") == 50


def test_settings_that_cannot_be_loaded_are_reported(page: Page, worker: Worker) -> None:
    """Few use them, so the page loads them when they are opened. The clock runs."""
    page.route("**/panel.*.js", lambda route: route.abort(), times=1)
    open_page(page, worker)
    page.keyboard.press("s")
    expect(page.locator("#problems li")).to_have_text("The server is unreachable. Try again later.")
    open_settings(page)
    assert page.locator("#problems li").count() == 0


def test_the_field_of_labels_has_one_line_per_clock(page: Page, worker: Worker) -> None:
    """So labels may contain commas. A line too many gives a message, and is kept until there is a clock for it."""
    open_page(page, worker, first=reading(still=True))
    open_settings(page)
    labels = page.locator("[name=label]")
    labels.press_sequentially("Berlin, Germany\n")
    assert page.locator("#panel").is_visible()
    assert page.locator(".label:visible").all_inner_texts() == ["Berlin, Germany"]
    assert page.title() == "Berlin, Germany"
    assert page.inner_text("#panel-problem") == ""
    labels.press_sequentially("Washington, D.C.")
    assert "no more labels than clocks" in page.inner_text("#panel-problem")
    page.fill("[name=tz]", "Europe/Berlin,America/New_York")
    page.locator("[name=tz]").dispatch_event("change")
    assert page.inner_text("#panel-problem") == ""
    assert page.locator(".label:visible").all_inner_texts() == ["Berlin, Germany", "Washington, D.C."]
    assert labels.get_attribute("rows") == "2"
    page.reload()
    settle(page)
    open_settings(page)
    assert labels.input_value() == "Berlin, Germany\nWashington, D.C."


def test_a_new_language_loads_the_page_only_if_the_server_answers(page: Page, worker: Worker) -> None:
    """Otherwise the clock would be lost."""
    open_page(page, worker)
    open_settings(page)
    page.route("**/clock/?lang=de", lambda route: route.fulfill(status=503))
    page.select_option("[name=lang]", "de")
    expect(page.locator("#panel-problem")).to_have_text("The server is unreachable. Try again later.")
    assert page.get_attribute("html", "lang") == "en"
    page.unroute("**/clock/?lang=de")
    page.select_option("[name=lang]", "fr")
    page.wait_for_selector("html[lang=fr]")
    assert page.title() == "Horloge"


def test_the_embedded_page_has_no_buttons_and_ignores_keys(page: Page, worker: Worker) -> None:
    """It has the same clock and the same options."""
    open_page(page, worker, "?tz=Asia/Tokyo", reading(still=True), path="embed")
    page.keyboard.press("s")
    assert page.inner_text(".seconds") == "21:48:05"
    assert page.locator("button, dialog").count() == 0
