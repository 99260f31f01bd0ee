"""The clock in other people's pages and pictures: framed by another site, and over what a studio puts behind it."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext, Page

from testbed.processes import Broker, Ticker, Worker
from tests.page.faces import reading, show

# Returns [red, green, blue, alpha] of a picture's first pixel.
CORNER = """async (picture) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}"""


@pytest.fixture
def site() -> Iterator[str]:
    """Another site, of which each page frames the address that stands in its own, behind the question mark."""

    class Framing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<!doctype html><iframe src="{self.path.partition("?")[2]}"></iframe>'.encode())

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - so it is called there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Framing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_site_that_is_named_may_frame_the_clock(
    page: Page, site: str, broker: Broker, ticker: Ticker, directory: Path
) -> None:
    """There it is live, as anywhere."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_FRAME_ANCESTORS=site) as worker:
        worker.wait_for_ticks()
        page.goto(f"{site}/?http://{worker.host}/clock/embed")
        page.frame_locator("iframe").locator("#clock[data-state=live]").wait_for()


def test_no_other_site_may(context: BrowserContext, site: str, worker: Worker) -> None:
    """The browser says so, and shows nothing of it."""
    page = context.new_page()
    with page.expect_console_message(lambda message: "frame-ancestors 'none'" in message.text):
        page.goto(f"{site}/?http://{worker.host}/clock/embed")
    assert page.frames[1].locator("#clock").count() == 0


@pytest.mark.parametrize(("query", "alpha"), [("?bg=transparent", 0), ("", 255)])
def test_what_is_behind_shows_through(
    page: Page, context: BrowserContext, worker: Worker, query: str, alpha: int
) -> None:
    """If that is asked for."""
    show(page, worker, query, reading(still=True), path="embed")
    picture = base64.b64encode(page.screenshot(omit_background=True)).decode()
    assert context.new_page().evaluate(CORNER, picture)[3] == alpha
