"""A page whose timekeeper returns the readings that a test sets, for states that are hard to reach or must be exact.

`open_page` loads such a page; `use_options` changes the options of one that is loaded, which takes a tenth of the time.
"""

import json
from typing import NotRequired, TypedDict, Unpack

from playwright.sync_api import Page

from testbed.processes import Worker

# 2026-11-22 12:48:05.12 UTC in milliseconds, and the offset of the worker's time zone, Asia/Kathmandu.
NOON_MS = 1795351685120
KATHMANDU_OFFSET_MS = 20_700_000

TIMEKEEPER = """
export class Timekeeper {
  gap = 10;
  constructor(options) { Object.assign(window, { timekeeper: this, timekeeperOptions: options }); }
  start() {}
  read(now) {
    const { still, time, ...rest } = window.reading;
    return { ...rest, time: time === null || still ? time : time + now };
  }
}
"""

USE_OPTIONS = """async ([query, reading]) => {
  const { use } = await import(document.querySelector("script[type=module]").src);
  const { readOptions } = await import("/static/clock/options.js");
  document.querySelector("dialog")?.close();
  window.reading = reading;
  history.replaceState(null, "", location.pathname + query);
  use(readOptions(query));
}"""


class Reading(TypedDict):
    """What the timekeeper returns: see clock/static/clock/time/timekeeper.js. `still`: the time does not advance."""

    state: str
    time: int | None
    bound: float | None
    since: int | None
    reason: str
    stepped: bool
    zoneOffset: int | None
    synchronised: bool | None
    still: bool


class Changes(TypedDict):
    """What a test may change of a reading."""

    time: NotRequired[int | None]
    bound: NotRequired[float | None]
    since: NotRequired[int | None]
    reason: NotRequired[str]
    stepped: NotRequired[bool]
    zoneOffset: NotRequired[int | None]
    synchronised: NotRequired[bool | None]
    still: NotRequired[bool]


def reading(state: str = "live", **changes: Unpack[Changes]) -> Reading:
    """Return a typical reading in a state. Its time advances, unless it is `still`."""
    is_running = state in {"live", "late", "holdover"}
    frames_are_missing = state in {"late", "holdover", "stopped"}
    typical: Reading = {
        "state": state,
        "time": NOON_MS if is_running else None,
        "bound": {"live": 2.31, "late": 2.38, "holdover": 14.2}.get(state),
        "since": NOON_MS - 67_000 if frames_are_missing else None,
        "reason": "the server's own words" if state == "refused" else "",
        "stepped": False,
        "zoneOffset": None if state == "connecting" else KATHMANDU_OFFSET_MS,
        "synchronised": True,
        "still": False,
    }
    return {**typical, **changes}


def open_page(page: Page, worker: Worker, query: str = "", first: Reading | None = None, path: str = "") -> None:
    """Load the page with a fake timekeeper that returns this reading."""
    page.route("**/timekeeper*.js", lambda route: route.fulfill(body=TIMEKEEPER, content_type="text/javascript"))
    page.add_init_script(f"window.reading = {json.dumps(first or reading())};")
    page.goto(f"http://{worker.host}/clock/{path}{query}")
    page.wait_for_selector("#clock[data-grid]")
    settle(page)


def use_options(page: Page, query: str = "", now: Reading | None = None) -> None:
    """Show a loaded page with other options, and with this reading."""
    page.evaluate(USE_OPTIONS, [query, now or reading()])
    settle(page)


def set_reading(page: Page, now: Reading) -> None:
    """Have the timekeeper return this reading from now on."""
    page.evaluate("(reading) => { window.reading = reading; }", now)
    settle(page)


def open_settings(page: Page) -> None:
    """Open the settings. The first time, the page loads their module."""
    page.keyboard.press("s")
    page.wait_for_selector("#panel[open]")


def settle(page: Page) -> None:
    """Wait until the current reading is painted: the second, then the bound, then the digits that it justifies."""
    page.evaluate(
        """async () => {
          for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
        }"""
    )
