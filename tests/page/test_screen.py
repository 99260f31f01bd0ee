"""Whether the screen stays on: a real browser, with a wake lock that comes when the test says so."""

import random
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from testbed.processes import Worker
from tests.page.faces import show

OFF, ON = "The screen may go off.", "The screen stays on."

# Requests are answered by the test; `held` are the locks that keep the screen on now. Like a browser, it gives none to
# a page that is hidden, and takes back what one had.
WAKE_LOCK = """
window.requests = [];
window.held = new Set();
window.visibility = "visible";
Object.defineProperty(Document.prototype, "visibilityState", { get: () => visibility });
window.turn = (state) => {
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

# Does what is drawn, in a page that uses one option after the other, and answers what is still pending in the end.
# Returns for each round [locks held, locks wanted, the word, whether there ever were two].
ROUNDS = """async (rounds) => {
  const { use } = await import(document.querySelector("script[type=module]").src);
  const { readOptions } = await import("/static/clock/options.js");
  const ends = [];
  for (const steps of rounds) {
    let on = false;
    let two = false;
    for (const step of ["off", ...steps, "show"]) {
      if (step === "on" || step === "off") use(readOptions(`?awake=${step}`)), (on = step === "on");
      else if (step === "hide" || step === "show") turn(step === "hide" ? "hidden" : "visible");
      else if (step === "rest") await new Promise((done) => setTimeout(done));
      else if (requests.length) step === "grant" && visibility === "visible" ? grant() : refuse("so drawn");
      two ||= requests.length + held.size > 1;
    }
    for (let more = 0; more < 3; more++) {
      await new Promise((done) => setTimeout(done));
      if (requests.length) grant();
    }
    await new Promise((done) => setTimeout(done));
    if (on && !held.size) use(readOptions("?awake=on")); // it was refused last
    await new Promise((done) => setTimeout(done));
    if (requests.length) grant();
    await new Promise((done) => setTimeout(done));
    ends.push([held.size, on ? 1 : 0, document.getElementById("awake-word").textContent, two]);
  }
  return ends;
}"""


@pytest.fixture
def clock(page: Page, worker: Worker) -> Page:
    """The page, with its settings open."""
    page.add_init_script(WAKE_LOCK)
    show(page, worker)
    page.keyboard.press("s")
    return page


def held(page: Page) -> list[Any]:
    """Return [requests pending, locks held, the word on it], once all is settled."""
    found: list[Any] = page.evaluate(
        """async () => {
          await new Promise((done) => setTimeout(done, 20));
          return [requests.length, held.size, document.getElementById("awake-word").textContent];
        }"""
    )
    return found


def test_switched_off_while_the_request_is_pending(clock: Page) -> None:
    """The lock that comes late is released, and the page says what is so."""
    clock.check("[name=awake]")
    assert held(clock) == [1, 0, OFF]
    clock.uncheck("[name=awake]")
    clock.evaluate("grant()")
    assert held(clock) == [0, 0, OFF]


def test_switched_off_and_on_again_while_it_is_pending(clock: Page) -> None:
    """One request serves."""
    clock.check("[name=awake]")
    clock.uncheck("[name=awake]")
    clock.check("[name=awake]")
    assert held(clock) == [1, 0, OFF]
    clock.evaluate("grant()")
    assert held(clock) == [0, 1, ON]
    clock.uncheck("[name=awake]")
    assert held(clock) == [0, 0, OFF]


def test_two_reasons_for_one_lock(clock: Page) -> None:
    """Full screen keeps it on too; whichever goes first, the lock stays for the other."""
    clock.check("[name=awake]")
    clock.keyboard.press("Escape")
    clock.keyboard.press("f")
    clock.wait_for_selector("html:fullscreen")
    assert held(clock) == [1, 0, OFF]
    clock.evaluate("grant()")
    assert held(clock) == [0, 1, ON]
    clock.keyboard.press("s")
    clock.uncheck("[name=awake]")
    assert held(clock) == [0, 1, ON]
    clock.evaluate("document.exitFullscreen()")
    clock.wait_for_selector("html:not(:fullscreen)")
    assert held(clock) == [0, 0, OFF]


def test_hidden_while_it_is_pending(clock: Page) -> None:
    """What was refused because the page was hidden is requested again when it is shown; what came, is not kept."""
    clock.check("[name=awake]")
    clock.evaluate("turn('hidden')")
    clock.evaluate("turn('visible')")
    assert held(clock) == [1, 0, OFF]
    clock.evaluate("refuse('hidden')")
    assert held(clock) == [1, 0, OFF]
    assert not clock.locator("#problems").is_visible()
    clock.evaluate("turn('hidden')")
    clock.evaluate("grant()")
    assert held(clock) == [0, 0, OFF]
    clock.evaluate("turn('visible')")
    clock.evaluate("grant()")
    assert held(clock) == [0, 1, ON]


def test_what_is_refused_is_not_requested_without_end(clock: Page) -> None:
    """The page says why; and asks again when it is shown again."""
    clock.check("[name=awake]")
    clock.evaluate("refuse('low battery')")
    assert held(clock) == [0, 0, "The screen may go off: the browser refused to keep it on (low battery)."]
    assert clock.locator("#problems").is_visible()
    clock.evaluate("turn('hidden')")
    clock.evaluate("turn('visible')")
    clock.evaluate("grant()")
    assert held(clock) == [0, 1, ON]
    assert not clock.locator("#problems").is_visible()


def test_it_ends_in_what_was_wanted_last(clock: Page) -> None:
    """Whatever is switched, hidden, granted and refused in whatever order; and there never are two."""
    draw = random.Random(12)
    steps = ["on", "off", "hide", "show", "grant", "refuse", "rest"]
    rounds = [[draw.choice(steps) for _ in range(draw.randrange(1, 12))] for _ in range(100)]
    for steps_, (locks, wanted, word, two) in zip(rounds, clock.evaluate(ROUNDS, rounds), strict=True):
        assert (locks, word, two) == (wanted, ON if wanted else OFF, False), steps_


def test_a_browser_without_full_screen(page: Page, worker: Worker) -> None:
    """Such as that of an iPhone: nothing is requested that nobody asked for, and the page says that it cannot."""
    page.add_init_script(
        WAKE_LOCK
        + """
        Object.defineProperty(Document.prototype, "fullscreenElement", { value: undefined });
        delete Element.prototype.requestFullscreen;
        """
    )
    show(page, worker)
    assert held(page) == [0, 0, OFF]
    page.keyboard.press("f")
    expect(page.locator("#problems")).to_contain_text("The browser refused full screen: ")


@pytest.mark.parametrize("how", ["throw new Error('stuck');", "return Promise.reject(new Error('stuck'));"])
def test_a_lock_that_cannot_be_released(clock: Page, how: str) -> None:
    """The page says so, and goes on."""
    clock.check("[name=awake]")
    clock.evaluate(f"() => {{ grant(); [...held][0].release = () => {{ {how} }}; }}")
    assert held(clock) == [0, 1, ON]
    clock.uncheck("[name=awake]")
    expect(clock.locator("#problems")).to_have_text("Not working here: Keep the screen on (stuck).")
