"""Fixtures of the page's tests. Loading the page is slow, so tests share a browser context, or a loaded page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from testbed.processes import ROOT, Worker
from tests.conftest import run_browser
from tests.page.support.fake_timekeeper import open_page, use_options

# Chromium itself logs a connection or a request that failed. A page cannot prevent that.
CHROMIUMS_OWN = re.compile(r"WebSocket connection to|Failed to load resource: .*(net::ERR_|\b503\b)")

VIEWPORT = (1280, 720)


@contextmanager
def silent(page: Page) -> Iterator[Page]:
    """Check that a page raises nothing, and logs nothing."""
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    yield page
    assert [line for line in noise if not CHROMIUMS_OWN.search(line)] == []


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium for all tests of this folder: none of them needs an event loop of its own."""
    with run_browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser context for all tests of a module, so that the page's files are in its cache."""
    context = browser.new_context(locale="en-GB", timezone_id="America/New_York")  # not the clock's
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A new page. It must raise nothing, and log nothing."""
    page = context.new_page()
    with silent(page):
        yield page
    page.close()


@pytest.fixture
def separate_page(browser: Browser) -> Iterator[Page]:
    """A new page in a context of its own: for an empty cache, or a fake clock, which applies to a whole context."""
    context = browser.new_context(locale="en-GB", timezone_id="America/New_York")  # not the clock's
    page = context.new_page()
    with silent(page):
        yield page
    context.close()


@pytest.fixture(scope="module")
def init_script() -> str:
    """What runs before the scripts of `loaded_page`. A module can replace it."""
    return ""


@pytest.fixture(scope="module")
def loaded_page(context: BrowserContext, worker: Worker, init_script: str) -> Iterator[Page]:
    """The page with a fake timekeeper, loaded once per module."""
    page = context.new_page()
    page.add_init_script(init_script)
    with silent(page):
        open_page(page, worker)
        yield page
    page.close()


@pytest.fixture
def clock(loaded_page: Page) -> Page:
    """The loaded page with its default options, a live reading, and a laptop's screen."""
    loaded_page.set_viewport_size({"width": VIEWPORT[0], "height": VIEWPORT[1]})
    use_options(loaded_page)
    return loaded_page


@pytest.fixture(scope="module")
def blank_page(browser: Browser) -> Iterator[Page]:
    """An empty page that can import the modules of clock/static/clock/time and tests/page/time."""
    page = browser.new_page()
    page.route("http://modules.test/**", serve_module)
    page.goto("http://modules.test/")
    yield page
    page.close()


def serve_module(route: Route) -> None:
    """Serve a module, or an empty page."""
    name = route.request.url.rpartition("/")[2]
    for folder in ("clock/static/clock/time", "tests/page/time"):
        if name.endswith(".js") and (ROOT / folder / name).exists():
            route.fulfill(body=(ROOT / folder / name).read_text(), content_type="text/javascript")
            return
    route.fulfill(body="<!doctype html>", content_type="text/html")
