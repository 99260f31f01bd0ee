"""Whether the screen stays on: a real browser, with a wake lock that the test grants or refuses."""

import random

import pytest
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.support.fake_timekeeper import open_page, open_settings, use_options

OFF, ON = "The screen may turn off.", "The screen stays on."

# The test answers the requests; `held` are the wake locks that are held now. Like a browser, it grants none to a hidden
# page, and releases those of a page that becomes hidden.
WAKE_LOCK = """
window.requests = [];
window.held = new Set();
window.visibility = "visible";
Object.defineProperty(Document.prototype, "visibilityState", { get: () => visibility });
window.setVisibility = (state) => {
  visibility = state;
  document.dispatchEvent(new Event("visibilitychange"));
  if (state === "hidden") for (const lock of held) lock.release();
};
window.grant = () => {
  const lock = new EventTarget();
  lock.released = false;
  lock.release = async () => {
    if (!held.delete(lock)) return;
    lock.released = true;
    lock.dispatchEvent(new Event("release"));
  };
  held.add(lock);
  requests.shift().resolve(lock);
};
window.refuse = (reason) => requests.shift().reject(new Error(reason));
const request = () => new Promise((resolve, reject) => requests.push({ resolve, reject }));
Object.defineProperty(Navigator.prototype, "wakeLock", { get: () => ({ request }) });
"""

# Takes random steps on a page that uses one option after the other, and grants what is still pending at the end.
# Returns for each round [locks held, locks wanted, the status, whether there ever were two locks or requests].
ROUNDS = """async (rounds) => {
  const { use } = await import(document.querySelector("script[type=module]").src);
  const { readOptions } = await import("/static/clock/options.js");
  const ends = [];
  for (const steps of rounds) {
    let on = false;
    let two = false;
    for (const step of ["off", ...steps, "show"]) {
      if (step === "on" || step === "off") use(readOptions(`?awake=${step}`)), (on = step === "on");
      else if (step === "hide" || step === "show") setVisibility(step === "hide" ? "hidden" : "visible");
      else if (step === "wait") await new Promise((done) => setTimeout(done));
      else if (requests.length) step === "grant" && visibility === "visible" ? grant() : refuse("a random step");
      two ||= requests.length + held.size > 1;
    }
    for (let more = 0; more < 3; more++) {
      await new Promise((done) => setTimeout(done));
      if (requests.length) grant();
    }
    await new Promise((done) => setTimeout(done));
    if (on && !held.size) use(readOptions("?awake=on")); // the last request was refused
    await new Promise((done) => setTimeout(done));
    if (requests.length) grant();
    await new Promise((done) => setTimeout(done));
    ends.push([held.size, on ? 1 : 0, document.getElementById("awake-status").textContent, two]);
  }
  return ends;
}"""


@pytest.fixture(scope="module")
def init_script() -> str:
    """Gives the loaded page a wake lock of the test's own."""
    return WAKE_LOCK


@pytest.fixture
def settings(loaded_page: Page) -> Page:
    """The loaded page with its settings open. Nothing is pending or held."""
    use_options(loaded_page)
    open_settings(loaded_page)
    loaded_page.uncheck("[name=awake]")
    loaded_page.evaluate("() => { setVisibility('visible'); while (requests.length) refuse('the test is over'); }")
    assert status(loaded_page) == (0, 0, OFF)
    return loaded_page


def status(page: Page) -> tuple[int, int, str]:
    """Return the numbers of pending requests and of held locks, and the status on the page, after all has settled."""
    pending, held, text = page.evaluate(
        """async () => {
          await new Promise((done) => setTimeout(done, 20));
          return [requests.length, held.size, document.getElementById("awake-status").textContent];
        }"""
    )
    return pending, held, text


def test_a_lock_that_is_granted_too_late_is_released(settings: Page) -> None:
    """The option was turned off while the request was pending."""
    settings.check("[name=awake]")
    assert status(settings) == (1, 0, OFF)
    settings.uncheck("[name=awake]")
    settings.evaluate("grant()")
    assert status(settings) == (0, 0, OFF)


def test_one_pending_request_is_enough(settings: Page) -> None:
    """The option was turned off and on again while it was pending."""
    settings.check("[name=awake]")
    settings.uncheck("[name=awake]")
    settings.check("[name=awake]")
    assert status(settings) == (1, 0, OFF)
    settings.evaluate("grant()")
    assert status(settings) == (0, 1, ON)
    settings.uncheck("[name=awake]")
    assert status(settings) == (0, 0, OFF)


def test_the_option_and_full_screen_share_one_lock(settings: Page) -> None:
    """Full screen keeps the screen on too. The lock stays until neither needs it."""
    settings.check("[name=awake]")
    settings.keyboard.press("Escape")
    settings.keyboard.press("f")
    settings.wait_for_selector("html:fullscreen")
    assert status(settings) == (1, 0, OFF)
    settings.evaluate("grant()")
    assert status(settings) == (0, 1, ON)
    open_settings(settings)
    settings.uncheck("[name=awake]")
    assert status(settings) == (0, 1, ON)
    settings.evaluate("document.exitFullscreen()")
    settings.wait_for_selector("html:not(:fullscreen)")
    assert status(settings) == (0, 0, OFF)


def test_a_page_that_is_shown_again_requests_again(settings: Page) -> None:
    """If the request was refused because the page was hidden. A lock that a hidden page gets is released."""
    settings.check("[name=awake]")
    settings.evaluate("setVisibility('hidden')")
    settings.evaluate("setVisibility('visible')")
    assert status(settings) == (1, 0, OFF)
    settings.evaluate("refuse('hidden')")
    assert status(settings) == (1, 0, OFF)
    assert not settings.locator("#problems").is_visible()
    settings.evaluate("setVisibility('hidden')")
    settings.evaluate("grant()")
    assert status(settings) == (0, 0, OFF)
    settings.evaluate("setVisibility('visible')")
    settings.evaluate("grant()")
    assert status(settings) == (0, 1, ON)


def test_a_refused_request_is_not_repeated_at_once(settings: Page) -> None:
    """The page says why, and requests again when it is shown again."""
    settings.check("[name=awake]")
    settings.evaluate("refuse('low battery')")
    assert status(settings) == (0, 0, "The screen may turn off: the browser refused to keep it on (low battery).")
    assert settings.locator("#problems").is_visible()
    settings.evaluate("setVisibility('hidden')")
    settings.evaluate("setVisibility('visible')")
    settings.evaluate("grant()")
    assert status(settings) == (0, 1, ON)
    assert not settings.locator("#problems").is_visible()


def test_any_sequence_of_events_ends_as_requested(settings: Page) -> None:
    """Random steps of the user, the page and the browser; and there are never two locks."""
    draw = random.Random(12)
    choices = ["on", "off", "hide", "show", "grant", "refuse", "wait"]
    rounds = [[draw.choice(choices) for _ in range(draw.randrange(1, 12))] for _ in range(40)]
    for steps, (locks, wanted, text, two) in zip(rounds, settings.evaluate(ROUNDS, rounds), strict=True):
        assert (locks, text, two) == (wanted, ON if wanted else OFF, False), steps


def test_a_browser_without_full_screen_is_reported_on_request(page: Page, worker: Worker) -> None:
    """Such as that of an iPhone. The page requests nothing by itself."""
    page.add_init_script(
        WAKE_LOCK
        + """
        Object.defineProperty(Document.prototype, "fullscreenElement", { value: undefined });
        delete Element.prototype.requestFullscreen;
        """
    )
    open_page(page, worker)
    open_settings(page)
    assert status(page) == (0, 0, OFF)
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    expect(page.locator("#problems")).to_contain_text("The browser refused full screen: ")


@pytest.mark.parametrize("script", ["throw new Error('stuck');", "return Promise.reject(new Error('stuck'));"])
def test_a_lock_that_cannot_be_released_is_reported(page: Page, worker: Worker, script: str) -> None:
    """And the clock runs."""
    page.add_init_script(WAKE_LOCK)
    open_page(page, worker, "?awake=on")
    page.evaluate(f"() => {{ grant(); [...held][0].release = () => {{ {script} }}; }}")
    open_settings(page)
    assert status(page) == (0, 1, ON)
    page.uncheck("[name=awake]")
    expect(page.locator("#problems")).to_have_text("Not working in this browser: Keep the screen on (stuck).")


@pytest.mark.parametrize(
    ("wake_lock", "reason"),
    [
        ("{ request: async () => new EventTarget() }", ""),
        (
            "{ request: async () => { throw new Error('low battery'); } }",
            "the browser refused to keep it on (low battery)",
        ),
        ("undefined", "this browser cannot keep it on"),
        (None, "keeping it on requires HTTPS"),
    ],
)
def test_the_screen_stays_on_or_the_page_says_why_not(
    page: Page, worker: Worker, wake_lock: str | None, reason: str
) -> None:
    """Over plain HTTP, except on localhost, browsers have no wake lock."""
    if wake_lock is None:
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false });")
    else:
        page.add_init_script(f"Object.defineProperty(Navigator.prototype, 'wakeLock', {{ get: () => ({wake_lock}) }});")
    open_page(page, worker, "?awake=on")
    if reason:
        assert page.inner_text("#problems") == f"The screen may turn off: {reason}."
    else:
        assert not page.locator("#problems").is_visible()
        open_settings(page)
        assert page.text_content("#awake-status") == ON
