"""The page in a real browser, with a real worker, ticker and broker."""

import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from testbed.processes import Broker, Program, Ticker, Worker
from testbed.workers import copy_tree, from_tree
from tests.page.support.fake_timekeeper import open_page, reading
from tests.page.support.random_queries import random_queries
from ticker.host_clock import ask_kernel

# Returns the digits after each animation frame of a second.
RECORD = """() => new Promise((done) => {
  const shown = [];
  const end = performance.now() + 1000;
  const record = () => {
    shown.push(document.querySelector(".seconds").textContent + document.querySelector(".fraction").textContent);
    if (performance.now() < end) requestAnimationFrame(record);
    else done(shown);
  };
  requestAnimationFrame(record);
})"""


def wait_for_state(page: Page, state: str, seconds: float = 20) -> None:
    """Wait until the page is in a state."""
    page.wait_for_selector(f'#clock[data-state="{state}"]', timeout=seconds * 1000)


@pytest.fixture(scope="module")
def live_page(context: BrowserContext, worker: Worker) -> Iterator[Page]:
    """A page of the shared worker that is live, and knows the hundredths."""
    page = context.new_page()
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector('.time[data-hundredths="sharp"]')  # after a few probes, the bound is below 10 ms
    yield page
    page.close()


def test_it_shows_hundredths_that_advance(live_page: Page) -> None:
    """Over a second, the time takes many values and never runs backwards."""
    times: list[str] = live_page.evaluate(RECORD)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d\d", one) for one in times)
    assert times == sorted(times) or times[-1].startswith("00:00:0")
    assert len(set(times)) > 10
    assert live_page.inner_text("#state-text") == "live"


def test_it_shows_the_time_and_date_of_the_servers_zone(live_page: Page) -> None:
    """Wherever the browser is."""
    now, shown = live_page.evaluate("() => [Date.now(), document.querySelector('.time').textContent]")
    kathmandu = now / 1000 + 345 * 60
    hours, minutes, seconds = shown.split(":")
    told = int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
    assert abs((told - kathmandu + 43_200) % 86_400 - 43_200) < 2
    assert live_page.inner_text(".zone").replace("\n", " ") == "Asia/Kathmandu UTC+05:45"
    weekday = time.strftime("%A", time.gmtime(kathmandu))
    expected = time.strftime(f"{weekday} %-d %B %Y", time.gmtime(kathmandu))
    assert live_page.inner_text(".date").replace(",", "") == expected


def test_it_says_whether_the_server_is_synchronised(live_page: Page) -> None:
    """As the kernel of the ticker's host reports, which is this host."""
    texts = {
        True: "",
        False: "the server's clock is not synchronised",
        None: "unknown whether the server's clock is synchronised",
    }
    expect(live_page.locator("#notes")).to_have_text(texts[ask_kernel()])


@pytest.mark.parametrize(
    ("query", "saves_data", "asked"),
    [
        ("?rate=2", False, "?rate=2&phase=any"),
        ("?rate=7", False, "?rate=auto"),
        ("?rate=100", True, ""),
        ("", True, "?rate=10&phase=any"),
    ],
)
def test_it_asks_for_a_valid_rate(page: Page, worker: Worker, query: str, *, saves_data: bool, asked: str) -> None:
    """And is live at it, even between two frames.

    The server chooses the rate by default, and if the one in the address is invalid. A user who saves data gets 10.
    """
    page.add_init_script(
        f"Object.defineProperty(navigator, 'connection', {{ value: {{ saveData: {saves_data:d} }} }});"
    )
    urls: list[str] = []
    page.on("websocket", lambda socket: urls.append(socket.url))
    page.goto(f"http://{worker.host}/clock/{query}")
    wait_for_state(page, "live")
    if query == "?rate=2":
        page.wait_for_timeout(1_200)
        assert page.get_attribute("#clock", "data-state") == "live"
    if query == "?rate=7":
        assert page.inner_text("#problems") == "rate=7 is invalid. Valid: one of auto, 100, 50, 25, 20, 10, 5, 2, 1."
    assert urls == [f"ws://{worker.host}/ws/clock/{asked}"]


def test_it_is_live_with_a_worker_that_does_not_know_auto(
    page: Page, broker: Broker, ticker: Ticker, directory: Path
) -> None:
    """As during a rolling upgrade: version 1.1 closes `rate=auto` with 4008, and is asked again without it."""
    assert ticker.running
    tree = copy_tree(directory / "tree")
    contract = tree / "clock/contract.py"
    source = contract.read_text()
    assert source.count("for rate in (*RATES, AUTO)") == 1
    contract.write_text(source.replace("for rate in (*RATES, AUTO)", "for rate in RATES"))
    urls: list[str] = []
    page.on("websocket", lambda socket: urls.append(socket.url))
    with from_tree(Worker(broker.url, tree), tree) as worker:
        worker.wait_for_ticks()
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        assert urls == [f"ws://{worker.host}/ws/clock/?rate=auto", f"ws://{worker.host}/ws/clock/"]


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(("worker",), id="worker"),
        pytest.param(("ticker", "broker", "worker"), id="each", marks=pytest.mark.soak),
    ],
)
def test_it_recovers_when_a_process_is_killed(page: Page, directory: Path, killed: tuple[str, ...]) -> None:
    """One after the other: the page says that it is free-running, and is live again after a restart.

    This clock is in UTC, whose offset the page does not show.
    """
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        assert page.inner_text(".zone").strip() == "UTC"
        processes: dict[str, Program] = {"ticker": ticker, "broker": broker, "worker": worker}
        for process in map(processes.__getitem__, killed):
            expect(page.locator("#bound")).to_have_text(re.compile("ms$"))  # known, also after the last restart
            process.kill()
            wait_for_state(page, "holdover", 3)
            assert re.fullmatch(r"no signal since \d\d:\d\d:\d\d: free-running", page.inner_text("#state-text"))
            expect(page.locator("#bound")).to_have_text(re.compile("growing$"))
            first = page.inner_text(".seconds")
            expect(page.locator(".seconds")).not_to_have_text(first)
            process.start()
            wait_for_state(page, "live")


@pytest.mark.soak
def test_it_reconnects_if_an_open_connection_is_silent(page: Page, directory: Path) -> None:
    """After 5 s without a frame. With a fake clock, test_timekeeper.py tests the same."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        urls: list[str] = []
        page.on("websocket", lambda socket: urls.append(socket.url))
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        ticker.kill()
        page.wait_for_timeout(9_000)
        assert len(urls) >= 2
        ticker.start()
        wait_for_state(page, "live")


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_it_is_live_with_random_queries(page: Page, worker: Worker, count: int) -> None:
    """Each page shows a clock and its messages; the fixture checks that nothing raises or logs."""
    for query in random_queries(6, count):
        response = page.goto(f"http://{worker.host}/clock/{quote(query, safe='?&=%+,/')}")
        assert response is not None
        assert response.status == 200, query
        wait_for_state(page, "live", 5)
        assert page.locator(".seconds").first.inner_text()[1] != "\u2012", query
        problems = page.evaluate(
            "async () => (await import('/static/clock/options.js')).readOptions(location.search).problems.length"
        )
        # Whether the screen stays on is in the list too.
        assert page.locator("#problems li").count() >= problems, query


@pytest.fixture
def site() -> Iterator[str]:
    """Another site. Each of its pages has a frame with the address in its query string."""

    class Framing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<!doctype html><iframe src="{self.path.partition("?")[2]}"></iframe>'.encode())

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name in the base class
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Framing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_site_that_the_setting_names_may_frame_the_clock(
    page: Page, site: str, broker: Broker, ticker: Ticker, directory: Path
) -> None:
    """The clock is live there."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_FRAME_ANCESTORS=site) as worker:
        worker.wait_for_ticks()
        page.goto(f"{site}/?http://{worker.host}/clock/embed")
        page.frame_locator("iframe").locator("#clock[data-state=live]").wait_for()


def test_no_other_site_may_frame_the_clock(context: BrowserContext, site: str, worker: Worker) -> None:
    """The browser shows nothing of it."""
    page = context.new_page()
    with page.expect_console_message(lambda message: "frame-ancestors 'none'" in message.text):
        page.goto(f"{site}/?http://{worker.host}/clock/embed")
    assert page.frames[1].locator("#clock").count() == 0


@pytest.mark.parametrize(("query", "alpha"), [("?bg=transparent", 0), ("", 255)])
def test_the_background_is_transparent_on_request(page: Page, worker: Worker, query: str, alpha: int) -> None:
    """For a studio that puts the clock over a picture."""
    open_page(page, worker, query, reading(still=True), path="embed")
    with Image.open(BytesIO(page.screenshot(omit_background=True))) as picture:
        assert picture.convert("RGBA").getchannel("A").getpixel((0, 0)) == alpha
