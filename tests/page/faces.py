"""A page whose timekeeper says what it is told to: for what is hard to hold, or must be seen at an exact moment."""

import json
from typing import Any

from playwright.sync_api import Page

from testbed.processes import Worker

# 2026-11-22 12:48:05.12 UTC, and the offset of the zone that the worker of the tests tells.
NOON = 1795351685120
KATHMANDU = 20_700_000

TIMEKEEPER = """
export class Timekeeper {
  constructor(given) { window.asked = given; }
  start() {}
  read(now) {
    const { still, time, ...rest } = window.reading;
    return { ...rest, time: time === null || still ? time : time + now };
  }
}
"""


def reading(state: str = "live", **other: Any) -> dict[str, Any]:
    """Return a reading of the timekeeper. Its time goes on, unless it is `still`."""
    runs = state in {"live", "late", "holdover"}
    missed = state in {"late", "holdover", "stopped"}
    return {
        "state": state,
        "time": NOON if runs else None,
        "bound": {"live": 2.31, "late": 2.38, "holdover": 14.2}.get(state),
        "since": NOON - 67_000 if missed else None,
        "reason": "the server's own words" if state == "refused" else "",
        "stepped": False,
        "zoneOffset": None if state == "connecting" else KATHMANDU,
        "synchronised": True,
        "still": False,
        **other,
    }


def show(page: Page, worker: Worker, query: str = "", told: dict[str, Any] | None = None, path: str = "") -> None:
    """Open the page with a timekeeper that tells this."""
    page.route("**/timekeeper*.js", lambda route: route.fulfill(body=TIMEKEEPER, content_type="text/javascript"))
    page.add_init_script(f"window.reading = {json.dumps(told or reading())};")
    page.goto(f"http://{worker.host}/clock/{path}{query}")
    page.wait_for_selector("#clock[data-wall]")
    settle(page)


def tell(page: Page, told: dict[str, Any]) -> None:
    """Have the timekeeper tell something else from now on."""
    page.evaluate("(told) => { window.reading = told; }", told)
    settle(page)


def settle(page: Page) -> None:
    """Wait until what was told has been painted."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
