"""Failures of the browser: the clock runs without the feature that failed, and the page says so once."""

import pytest
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.support.fake_timekeeper import NOON_MS, open_page, open_settings, reading, set_reading, use_options

# The date in the language of the page, which is American English, and in that of the browser, which is British.
IN_PAGES_LANGUAGE, IN_BROWSERS_LANGUAGE = "Sunday November 22 2026", "Sunday 22 November 2026"

REJECT_FORMATS = """
const Format = Intl.DateTimeFormat;
Intl.DateTimeFormat = class extends Format {
  constructor(language, fields) {
    if (%s) throw new RangeError("rejected");
    super(language, fields);
  }
};
"""


def digits(page: Page) -> str:
    """Return the digits of the first clock."""
    return page.locator(".time").first.inner_text().replace("\n", "")


def date(page: Page) -> str:
    """Return the date, without the commas that some versions of a browser add."""
    return page.inner_text(".date").replace(",", "")


def problems(page: Page) -> list[str]:
    """Return the messages on the page."""
    return page.locator("#problems li").all_inner_texts()


def clock_runs(page: Page) -> bool:
    """Return whether the page paints two successive seconds, each with its hundredths."""
    shown = []
    for time in (NOON_MS, NOON_MS + 1_000):
        set_reading(page, reading(still=True, time=time))
        shown.append(digits(page)[:11])
    return shown == ["18:33:05.12", "18:33:06.12"]


def test_dates_are_in_the_pages_language_if_the_browsers_is_invalid(page: Page, worker: Worker) -> None:
    """WebKitGTK reports "C" under LANG=C. That is no failure, so there is no message. `lang` decides if it is given."""
    page.add_init_script(
        """window.language = "C";
        for (const [name, value] of [["language", () => language], ["languages", () => [language]]])
          Object.defineProperty(Navigator.prototype, name, { get: value });"""
    )
    open_page(page, worker)
    for language in ("C", "en_US.UTF-8", "tlh", None):
        page.evaluate("(language) => { window.language = language; }", language)
        use_options(page)
        assert clock_runs(page)
        assert date(page) == IN_PAGES_LANGUAGE
        use_options(page, "?lang=de")
        assert clock_runs(page)
        assert date(page) == "Sonntag 22. November 2026"
    assert not page.locator("#problems").is_visible()


@pytest.mark.parametrize(
    ("query", "script", "expected", "message"),
    [
        ("", REJECT_FORMATS % "true", "2026-11-22", "Not working in this browser: Date (rejected)."),
        ("?lang=ar", REJECT_FORMATS % "language === 'ar'", "2026-11-22", "لا يعمل في هذا المتصفح: التاريخ (rejected)."),
        ("", "Intl.DateTimeFormat.supportedLocalesOf = () => { throw 1; };", IN_PAGES_LANGUAGE, ""),
        ("", "Intl.DateTimeFormat.prototype.formatToParts = () => { throw 1; };", IN_BROWSERS_LANGUAGE, ""),
        ("", "delete window.Intl;", "2026-11-22", "Not working in this browser: Date (Intl is not defined)."),
        (
            "",
            "Number.prototype.toLocaleString = () => { throw new RangeError('rejected'); };",
            IN_BROWSERS_LANGUAGE,
            "Not working in this browser: Language (rejected).",
        ),
        (
            "?awake=on",
            "Object.defineProperty(Navigator.prototype, 'wakeLock', { get() { throw new Error('locked'); } });",
            IN_BROWSERS_LANGUAGE,
            "The screen may turn off: the browser refused to keep it on (locked).",
        ),
        (
            "?awake=on",
            "WakeLock.prototype.request = () => { throw new Error('locked'); };",
            IN_BROWSERS_LANGUAGE,
            "The screen may turn off: the browser refused to keep it on (locked).",
        ),
    ],
)
def test_a_failure_is_reported_once_and_the_clock_runs(
    page: Page, worker: Worker, query: str, script: str, expected: str, message: str
) -> None:
    """However often it fails. The server tells the offset of its own zone, so the browser need not know it."""
    page.add_init_script(script)
    open_page(page, worker, query)
    assert clock_runs(page)
    assert date(page) == expected
    assert problems(page) == ([message] if message else [])
    assert page.inner_text("#bound") != ""
    page.keyboard.press("t")
    expect(page.locator("#announcer")).to_contain_text("18:33:06")


def test_without_a_translated_day_period_the_page_shows_am_or_pm(page: Page, worker: Worker) -> None:
    """Without it, a time in the evening could be one in the morning."""
    page.add_init_script(REJECT_FORMATS % "fields?.hourCycle === 'h12'")
    open_page(page, worker, "?h=12", reading(still=True))
    assert digits(page).split() == ["6:33:05.12PM"]
    set_reading(page, reading(still=True, time=NOON_MS + 3_600_000 * 6))
    assert digits(page).split() == ["12:33:05.12AM"]
    assert problems(page) == ["Not working in this browser: Hours (rejected)."]


@pytest.mark.parametrize(
    "script",
    [
        REJECT_FORMATS % "fields?.timeZone === 'Asia/Tokyo' && fields.year",
        """const { formatToParts } = Intl.DateTimeFormat.prototype;
        Intl.DateTimeFormat.prototype.formatToParts = function (time) {
          if (this.resolvedOptions().timeZone === "Asia/Tokyo") throw new RangeError("rejected");
          return formatToParts.call(this, time);
        };""",
    ],
)
def test_a_zone_that_fails_does_not_stop_the_others(page: Page, worker: Worker, script: str) -> None:
    """Its clock shows dashes rather than a wrong time."""
    page.add_init_script(script)
    open_page(page, worker, "?tz=Asia/Tokyo,Europe/Berlin&hundredths=on", reading(still=True))
    dash = "\u2012\u2012"
    for second in (5, 6):
        set_reading(page, reading("holdover", still=True, time=NOON_MS + (second - 5) * 1_000))
        assert page.locator(".seconds").all_inner_texts() == [f"{dash}:{dash}:{dash}", f"13:48:0{second}"]
        assert page.locator(".fraction").all_inner_texts() == [f".{dash}", ".12"]
    assert page.inner_text("#state-text") == "no signal: free-running"  # "since" would be in the first zone
    assert page.inner_text("#bound") != ""
    assert problems(page) == ["Not working in this browser: Time zones (rejected)."]


@pytest.mark.parametrize(
    ("script", "reason"), [("throw new TypeError('denied');", "denied"), ("return Promise.reject();", "undefined")]
)
def test_a_refused_full_screen_is_reported(page: Page, worker: Worker, script: str, reason: str) -> None:
    """Whether the browser refuses at once or later, with a reason or without."""
    page.add_init_script(f"Element.prototype.requestFullscreen = () => {{ {script} }};")
    open_page(page, worker)
    page.keyboard.press("f")
    expect(page.locator("#problems li")).to_have_text(f"The browser refused full screen: {reason}")
    assert clock_runs(page)


def test_the_settings_open_without_a_list_of_zones(page: Page, worker: Worker) -> None:
    """The field then makes no suggestions."""
    page.add_init_script("Intl.supportedValuesOf = () => { throw new RangeError('no list'); };")
    open_page(page, worker)
    for _ in range(2):
        open_settings(page)
        page.keyboard.press("Escape")
    assert problems(page) == ["Not working in this browser: Time zones (no list)."]
    assert clock_runs(page)


def test_settings_apply_even_if_the_address_cannot_be_updated(page: Page, worker: Worker) -> None:
    """WebKit refuses frequent updates. The next one is written."""
    page.add_init_script("history.replaceState = () => { throw new DOMException('too often', 'SecurityError'); };")
    open_page(page, worker)
    open_settings(page)
    page.fill("[name=label]", "tea")
    assert page.inner_text(".label") == "tea"
    assert page.inner_text("#panel-problem") == "The browser refused to update the address: too often"
    page.evaluate("delete history.replaceState")
    page.fill("[name=label]", "teapot")
    assert page.inner_text("#panel-problem") == ""
    page.wait_for_url("**/clock/?label=teapot")


def test_the_clock_runs_if_the_raw_view_cannot_be_loaded(page: Page, worker: Worker) -> None:
    """The page says why."""
    page.route("**/raw*.js", lambda route: route.abort())
    page.goto(f"http://{worker.host}/clock/?raw")
    page.wait_for_selector("#clock[data-state=live]")
    message = "Not working in this browser: raw (Failed to fetch dynamically imported module"
    assert page.inner_text("#problems").startswith(message)


def test_the_page_times_probes_itself_without_resource_timing(page: Page, worker: Worker) -> None:
    """Its bound is then a little wider."""
    page.add_init_script("performance.getEntriesByName = () => { throw new TypeError('off'); };")
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector("#clock[data-state=live]")
    expect(page.locator("#bound")).to_contain_text("ms")


def test_a_key_event_without_a_key_is_ignored(clock: Page) -> None:
    """Chromium fills in forms with such events."""
    clock.evaluate("dispatchEvent(new Event('keydown'))")
    assert clock_runs(clock)
