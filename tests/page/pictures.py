"""The pictures of the page in docs/: a real clock in a real browser, at every size and in every state.

python -m tests.page.pictures

The states that are hard to hold are told to the page (tests/page/faces.py); all others come from a ticker that runs. Of
that the page hears that it is synchronised, wherever the pictures are taken.
"""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from testbed.browser import ADVICE, find_chromium
from testbed.processes import ROOT, Broker, Ticker, Worker
from tests.page.faces import NOON, reading, show

DOCS = ROOT / "docs"
SIZES = {"phone": (390, 844), "laptop": (1280, 720), "hall": (3840, 2160)}
WALL = "?tz=Europe/Berlin,America/New_York,Asia/Tokyo,Asia/Kolkata,Australia/Sydney,UTC"
LABELS = "&label=Berlin&label=New+York&label=Tokyo&label=Mumbai&label=Sydney&label=UTC"

# Changes what `/clock/now` says, and not when it says it.
SYNCHRONISED = """
const json = Response.prototype.json;
Response.prototype.json = async function () {
  return { ...(await json.call(this)), synchronised: true };
};
"""

STATES: dict[str, dict[str, Any]] = {
    "connecting": reading("connecting"),
    "live": reading(still=True),
    "live-over-the-internet": reading(bound=62.1, still=True),
    "live-unknown": reading(bound=None, still=True),
    "live-unsynchronised": reading(synchronised=False, still=True),
    "late": reading("late", still=True),
    "holdover": reading("holdover", still=True),
    "stopped": reading("stopped"),
    "refused": reading("refused", reason="rate must be one of 100, 50, 25, 20, 10, 5, 2, 1"),
}

# Of the real clock: the name of the picture, what stands in the address, and a key that is pressed.
PAGES = {
    "wall": (WALL + LABELS, ""),
    "settings": ("", "s"),
    "problems": ("?tz=Mars/Olympus&rate=60&hours=12", ""),
    "raw": ("?raw", ""),
    "contrast": ("?theme=contrast&h=12&label=Stage+left&offset=80", ""),
    "own-colours": ("?theme=fff-003366&hundredths=off", ""),
    "arabic": ("?lang=ar", "s"),
    "german": ("?lang=de", ""),
}


def main() -> None:
    """Take them all."""
    path = find_chromium()
    if path is None:
        raise SystemExit(ADVICE)
    DOCS.mkdir(exist_ok=True)
    for old in (picture for size in SIZES for picture in DOCS.glob(f"{size}-*.png")):
        old.unlink()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory, zone = Path(name), {"CLOCK_TIME_ZONE": "Europe/Berlin"}
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory, **zone) as ticker,
            Worker(broker.url, directory, **zone) as worker,
        ):
            assert ticker.running
            worker.wait_for_ticks()
            for size in SIZES:
                for scheme in ("light", "dark"):
                    for state, told in STATES.items():
                        _take_state(browser, worker, size, scheme, state, told)
                for title, (query, key) in PAGES.items():
                    _take_page(browser, worker, size, title, query, key)
        browser.close()


def _take_state(browser: Browser, worker: Worker, size: str, scheme: str, state: str, told: dict[str, Any]) -> None:
    page = _open(browser, size, scheme)
    if state == "live":
        page.goto(f"http://{worker.host}/clock/")
        page.wait_for_selector('.time[data-hundredths="sharp"]')
        page.wait_for_timeout(1_500)
    else:
        offset = 3_600_000  # Berlin's, in winter
        time = told["time"] and NOON
        show(page, worker, "", told | {"zoneOffset": told["zoneOffset"] and offset, "time": time})
    _take(page, f"{size}-{scheme}-{state}")


def _take_page(browser: Browser, worker: Worker, size: str, title: str, query: str, key: str) -> None:
    page = _open(browser, size, "dark")
    page.goto(f"http://{worker.host}/clock/{query}")
    page.wait_for_selector('#clock[data-state="live"]')
    if key:
        page.keyboard.press(key)
    page.wait_for_timeout(3_000 if title == "raw" else 1_500)
    _take(page, f"{size}-{title}")


def _open(browser: Browser, size: str, scheme: Any) -> Page:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB")
    page.add_init_script(SYNCHRONISED)
    page.mouse.move(5, 5)
    return page


def _take(page: Page, name: str) -> None:
    page.screenshot(path=DOCS / f"{name}.png")
    page.close()


if __name__ == "__main__":
    main()
