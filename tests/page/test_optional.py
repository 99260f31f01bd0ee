"""What a browser may fail at: the clock goes on without it, and the page says so once."""

import pytest
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.faces import NOON, reading, show, tell

# In the language of the page, which is American, and in that of the browser.
OF_PAGE, OF_BROWSER = "Sunday November 22 2026", "Sunday 22 November 2026"

REJECTS = """
const Format = Intl.DateTimeFormat;
Intl.DateTimeFormat = class extends Format {
  constructor(language, fields) {
    if (%s) throw new RangeError("rejected");
    super(language, fields);
  }
};
"""


def figures(page: Page) -> str:
    """Return the figures of the first clock."""
    return page.locator(".time").first.inner_text().replace("\n", "")


def date_of(page: Page) -> str:
    """Return the date as it is shown, without the commas that some versions of a browser have."""
    return page.inner_text(".date").replace(",", "")


def runs(page: Page) -> bool:
    """Return whether two seconds that follow are painted, each with its hundredths."""
    shown = []
    for time in (NOON, NOON + 1_000):
        tell(page, reading(still=True, time=time))
        shown.append(figures(page)[:11])
    return shown == ["18:33:05.12", "18:33:06.12"]


@pytest.mark.parametrize(
    ("language", "query", "date"),
    [
        ('"C"', "", OF_PAGE),
        ('"C"', "?lang=de", "Sonntag 22. November 2026"),
        ('"en_US.UTF-8"', "", OF_PAGE),
        ('"tlh"', "", OF_PAGE),
        ("null", "", OF_PAGE),
    ],
)
def test_a_language_that_is_none(page: Page, worker: Worker, language: str, query: str, date: str) -> None:
    """WebKitGTK under LANG=C has "C". Dates are in the language of the page then, and there is nothing to report."""
    page.add_init_script(
        f"""for (const [name, value] of Object.entries({{ language: {language}, languages: [{language}] }}))
          Object.defineProperty(Navigator.prototype, name, {{ get: () => value }});"""
    )
    show(page, worker, query)
    assert runs(page)
    assert date_of(page) == date
    assert not page.locator("#problems").is_visible()


@pytest.mark.parametrize(
    ("query", "script", "date", "said"),
    [
        ("", REJECTS % "true", "2026-11-22", "Not working here: Date (rejected)."),
        ("?lang=ar", REJECTS % "language === 'ar'", "2026-11-22", "لا يعمل هنا: التاريخ (rejected)."),
        ("", "Intl.DateTimeFormat.supportedLocalesOf = () => { throw 1; };", OF_PAGE, ""),
        ("", "Intl.DateTimeFormat.prototype.formatToParts = () => { throw 1; };", OF_BROWSER, ""),
        ("", "delete window.Intl;", "2026-11-22", "Not working here: Date (Intl is not defined)."),
        (
            "",
            "Number.prototype.toLocaleString = () => { throw new RangeError('rejected'); };",
            OF_BROWSER,
            "Not working here: Language (rejected).",
        ),
        (
            "?awake=on",
            "Object.defineProperty(Navigator.prototype, 'wakeLock', { get() { throw new Error('locked'); } });",
            OF_BROWSER,
            "The screen may go off: the browser refused to keep it on (locked).",
        ),
        (
            "?awake=on",
            "WakeLock.prototype.request = () => { throw new Error('locked'); };",
            OF_BROWSER,
            "The screen may go off: the browser refused to keep it on (locked).",
        ),
    ],
)
def test_what_fails_is_said_and_the_clock_goes_on(
    page: Page, worker: Worker, query: str, script: str, date: str, said: str
) -> None:
    """Once, however often it fails. Its own zone the clock has from the server."""
    page.add_init_script(script)
    show(page, worker, query)
    assert runs(page)
    assert date_of(page) == date
    assert page.locator("#problems li").all_inner_texts() == ([said] if said else [])
    assert page.inner_text("#bound") != ""
    page.keyboard.press("t")
    expect(page.locator("#spoken")).to_contain_text("18:33:06")


def test_twelve_hours_without_the_words_for_them(page: Page, worker: Worker) -> None:
    """A time that could be that of the morning is none."""
    page.add_init_script(REJECTS % "fields?.hourCycle === 'h12'")
    show(page, worker, "?h=12", reading(still=True))
    assert figures(page).split() == ["6:33:05.12PM"]
    tell(page, reading(still=True, time=NOON + 3_600_000 * 6))
    assert figures(page).split() == ["12:33:05.12AM"]
    assert page.locator("#problems li").all_inner_texts() == ["Not working here: Hours (rejected)."]


@pytest.mark.parametrize(
    "script",
    [
        REJECTS % "fields?.timeZone === 'Asia/Tokyo' && fields.year",
        """const { formatToParts } = Intl.DateTimeFormat.prototype;
        Intl.DateTimeFormat.prototype.formatToParts = function (time) {
          if (this.resolvedOptions().timeZone === "Asia/Tokyo") throw new RangeError("rejected");
          return formatToParts.call(this, time);
        };""",
    ],
)
def test_a_zone_that_fails_is_one_of_many(page: Page, worker: Worker, script: str) -> None:
    """Its clock shows no time rather than a wrong one; the others go on."""
    page.add_init_script(script)
    show(page, worker, "?tz=Asia/Tokyo,Europe/Berlin&hundredths=on", reading(still=True))
    for second in (5, 6):
        tell(page, reading("holdover", still=True, time=NOON + (second - 5) * 1_000))
        dash = "\u2012\u2012"
        assert page.locator(".seconds").all_inner_texts() == [f"{dash}:{dash}:{dash}", f"13:48:0{second}"]
        assert page.locator(".fraction").all_inner_texts() == [f".{dash}", ".12"]
    assert page.inner_text("#state-word") == "no ticks: counting on"  # the time of the last is by the first clock
    assert page.inner_text("#bound") != ""
    assert page.locator("#problems li").all_inner_texts() == ["Not working here: Time zones (rejected)."]


@pytest.mark.parametrize(
    ("how", "reason"), [("throw new TypeError('denied');", "denied"), ("return Promise.reject();", "undefined")]
)
def test_full_screen_that_fails(page: Page, worker: Worker, how: str, reason: str) -> None:
    """At once or later, with a reason or without."""
    page.add_init_script(f"Element.prototype.requestFullscreen = () => {{ {how} }};")
    show(page, worker)
    page.keyboard.press("f")
    expect(page.locator("#problems li")).to_have_text(f"The browser refused full screen: {reason}")
    assert runs(page)


def test_names_of_zones_that_fail(page: Page, worker: Worker) -> None:
    """The settings open without suggestions."""
    page.add_init_script("Intl.supportedValuesOf = () => { throw new RangeError('no list'); };")
    show(page, worker)
    for _ in range(2):
        page.keyboard.press("s")
        assert page.locator("#panel").is_visible()
        page.keyboard.press("Escape")
    assert page.locator("#problems li").all_inner_texts() == ["Not working here: Time zones (no list)."]
    assert runs(page)


def test_an_address_that_cannot_be_written(page: Page, worker: Worker) -> None:
    """WebKit refuses it where it is written too often. What was set works all the same, and the next is written."""
    page.add_init_script("history.replaceState = () => { throw new DOMException('too often', 'SecurityError'); };")
    show(page, worker)
    page.keyboard.press("s")
    page.fill("[name=label]", "tea")
    assert page.inner_text(".label") == "tea"
    assert page.inner_text("#panel-problem") == "The browser refused to write the address: too often"
    page.evaluate("delete history.replaceState")
    page.fill("[name=label]", "teapot")
    assert page.inner_text("#panel-problem") == ""
    page.wait_for_url("**/clock/?label=teapot")


def test_what_arrives_cannot_be_loaded(page: Page, worker: Worker) -> None:
    """The clock is there without it."""
    page.route("**/raw*.js", lambda route: route.abort())
    page.goto(f"http://{worker.host}/clock/?raw")
    page.wait_for_selector("#clock[data-state=live]")
    assert page.inner_text("#problems").startswith("Not working here: raw (Failed to fetch dynamically imported module")


def test_requests_that_are_not_timed(page: Page, worker: Worker) -> None:
    """The page times them itself, and is a little less sure."""
    page.add_init_script("performance.getEntriesByName = () => { throw new TypeError('off'); };")
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector("#clock[data-state=live]")
    expect(page.locator("#bound")).to_contain_text("ms")


def test_a_key_without_a_name(page: Page, worker: Worker) -> None:
    """Chromium fills in a form with events that have none."""
    show(page, worker)
    page.evaluate("dispatchEvent(new Event('keydown'))")
    assert runs(page)
