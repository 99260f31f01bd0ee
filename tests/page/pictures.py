"""Pictures of the page: a real clock in a real browser, on every size of screen and in every state.

python -m tests.page.pictures

All pictures go to .pictures/, for inspection. The few that the documentation shows are compressed into docs/pictures/.

A fake timekeeper (tests/page/support/fake_timekeeper.py) shows the states that are hard to reach; all other pictures
show a real clock. Its page is told that the server is synchronised, wherever the pictures are taken.
"""

import tempfile
from pathlib import Path
from typing import Final, Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from testbed.browser import ADVICE, CHROMIUM_ARGUMENTS, find_chromium
from testbed.processes import ROOT, Broker, Ticker, Worker
from tests.page.support.fake_timekeeper import Reading, open_page, reading

ALL = ROOT / ".pictures"
DOCS = ROOT / "docs" / "pictures"

SIZES: Final = {"small": (320, 180), "phone": (390, 844), "laptop": (1280, 720), "hall": (3840, 2160)}
BERLIN_OFFSET_MS = 3_600_000  # in winter

# The pictures of the documentation, by the names below.
DOCUMENTED: Final = (
    "laptop-dark-live",
    "laptop-light-holdover",
    "laptop-dark-stopped",
    "laptop-dark-live-over-the-internet",
    "laptop-grid",
    "laptop-settings",
    "laptop-raw",
    "laptop-embed",
    "phone-light-live",
    "small-dark-holdover",
)

ZONES = "?tz=Europe/Berlin,America/New_York,Asia/Tokyo,Asia/Kolkata,Australia/Sydney,UTC"
LABELS = "&label=Berlin&label=New+York&label=Tokyo&label=Mumbai&label=Sydney&label=UTC"

# Changes the content of `/clock/now`, but not its timing.
SYNCHRONISED = """
const json = Response.prototype.json;
Response.prototype.json = async function () {
  return { ...(await json.call(this)), synchronised: true };
};
"""

STATES: Final[dict[str, Reading]] = {
    "connecting": reading("connecting"),
    "live": reading(still=True, zoneOffset=BERLIN_OFFSET_MS),
    "live-over-the-internet": reading(bound=62.1, still=True, zoneOffset=BERLIN_OFFSET_MS),
    "live-unknown": reading(bound=None, still=True, zoneOffset=BERLIN_OFFSET_MS),
    "live-unsynchronised": reading(synchronised=False, still=True, zoneOffset=BERLIN_OFFSET_MS),
    "late": reading("late", still=True, zoneOffset=BERLIN_OFFSET_MS),
    "holdover": reading("holdover", still=True, zoneOffset=BERLIN_OFFSET_MS),
    "stopped": reading("stopped", zoneOffset=BERLIN_OFFSET_MS),
    "refused": reading("refused", reason="rate must be one of auto, 100, 50, 25, 20, 10, 5, 2, 1"),
}


class View(NamedTuple):
    """A view of a real clock: its path and query, and a key to press."""

    address: str
    key: str = ""


VIEWS: Final = {
    "grid": View(ZONES + LABELS),
    "settings": View("", "s"),
    "problems": View("?tz=Mars/Olympus&rate=60&hours=12"),
    "raw": View("?raw"),
    "contrast": View("?theme=contrast&h=12&label=Stage+left&offset=80"),
    "embed": View("embed?theme=fff-003366&hundredths=off&label=Studio+1"),
    "arabic": View("?lang=ar", "s"),
    "german": View("?lang=de"),
}


def main() -> None:
    """Take all pictures."""
    path = find_chromium()
    if path is None:
        raise SystemExit(ADVICE)
    for folder in (ALL, DOCS):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory, zone = Path(name), {"CLOCK_TIME_ZONE": "Europe/Berlin"}
        browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS])
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory, **zone) as ticker,
            Worker(broker.url, directory, **zone) as worker,
        ):
            assert ticker.running
            worker.wait_for_ticks()
            for size in SIZES:
                for scheme in ("light", "dark"):
                    for state in STATES:
                        _take_state(browser, worker, size, scheme, state)
                for title, view in VIEWS.items():
                    _take_view(browser, worker, size, title, view)
        browser.close()
    for name in DOCUMENTED:
        compress(ALL / f"{name}.png", DOCS / f"{name}.png")


def compress(source: Path, target: Path) -> None:
    """Write a picture with a palette of 64 colours, which is enough for text and a third of the size."""
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)


def _take_state(browser: Browser, worker: Worker, size: str, scheme: Literal["light", "dark"], state: str) -> None:
    page = _new_page(browser, size, scheme)
    if state == "live":
        page.goto(f"http://{worker.host}/clock/")
        page.wait_for_selector('.time[data-hundredths="sharp"]')
        page.wait_for_timeout(1_500)
    else:
        open_page(page, worker, "", STATES[state])
    _take(page, f"{size}-{scheme}-{state}")


def _take_view(browser: Browser, worker: Worker, size: str, title: str, view: View) -> None:
    page = _new_page(browser, size, "dark")
    page.goto(f"http://{worker.host}/clock/{view.address}")
    page.wait_for_selector('#clock[data-state="live"]')
    if view.key:
        page.keyboard.press(view.key)
    page.wait_for_timeout(3_000 if title == "raw" else 1_500)
    _take(page, f"{size}-{title}")


def _new_page(browser: Browser, size: str, scheme: Literal["light", "dark"]) -> Page:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB")
    page.add_init_script(SYNCHRONISED)
    page.mouse.move(5, 5)
    return page


def _take(page: Page, name: str) -> None:
    page.screenshot(path=ALL / f"{name}.png")
    page.close()


if __name__ == "__main__":
    main()
