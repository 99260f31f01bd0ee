"""The pictures of the page in the README: a real clock, in a real browser.

python -m tests.pictures
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.stack import ROOT, Broker, Ticker, Worker
from tests.browser import find_chromium

SIZES = {"phone": (390, 844), "laptop": (1280, 720)}


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory, zone = Path(name), {"CLOCK_TIME_ZONE": "Europe/Berlin"}
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        with (
            Broker(directory) as broker,
            Ticker(broker.url, directory, **zone) as ticker,
            Worker(broker.url, directory, **zone) as worker,
        ):
            for scheme in ("light", "dark"):
                for size, (width, height) in SIZES.items():
                    page = browser.new_page(
                        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
                    )  # type: ignore[arg-type]
                    page.goto(f"http://{worker.host}/clock/")
                    page.wait_for_selector('#clock[data-state="live"]')
                    page.wait_for_timeout(300)
                    page.screenshot(path=ROOT / "docs" / f"{size}-{scheme}.png")
                    if size == "laptop":
                        ticker.kill()
                        page.wait_for_selector('#clock[data-state="no ticks"]')
                        page.wait_for_timeout(300)
                        page.screenshot(path=ROOT / "docs" / f"{size}-{scheme}-no-ticks.png")
                        ticker.start()
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
