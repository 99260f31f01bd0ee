"""What the tests share: a relay on a layer in memory, the real parts of a clock, and a real browser."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from channels.layers import InMemoryChannelLayer
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from clock.asgi import Viewer, Write
from clock.broadcast.relay import Relay
from clock.broadcast.worker import this_worker
from clock.contract import text_of
from testbed.browser import ADVICE, find_chromium
from testbed.processes import Broker, Program, Ticker, Worker

DATE = {"locale": "en-GB", "timezone_id": "America/New_York"}  # neither of them the clock's


class Client:
    """A viewer of a fan-out that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.rests: list[bytes] = []
        self.errors: list[OSError] = []
        self.on_write: Callable[[], None] = lambda: None
        self._set_writer: Callable[[Viewer, Write], None] | None = None

    def bind_writer(self, set_writer: Callable[[Viewer, Write], None]) -> None:
        """Have frames written here."""
        self._set_writer = set_writer
        self.write_by(self.write)

    def write_by(self, write: Write) -> None:
        """Have them written by another function from now on."""
        assert self._set_writer is not None
        self._set_writer(self, write)

    def write(self, frame: bytes) -> int:
        """Take a frame."""
        self.on_write()
        self.frames.append(frame)
        return len(frame)

    def send_rest(self, rest: bytes) -> None:
        """Keep what was not taken."""
        self.rests.append(rest)

    def fail(self, error: OSError) -> None:
        """Keep what went wrong."""
        self.errors.append(error)

    @property
    def got(self) -> list[str]:
        """The texts of the frames."""
        return [text_of(frame) for frame in self.frames]


@pytest.fixture
def layer() -> InMemoryChannelLayer:
    """A channel layer that stays in this process."""
    return InMemoryChannelLayer()


@pytest.fixture
async def relay(layer: InMemoryChannelLayer) -> AsyncIterator[Relay]:
    """This process's relay, on the layer in memory; it is started by whoever needs it."""
    own, this_worker.relay = this_worker.relay, Relay(lambda: layer)
    yield this_worker.relay
    await this_worker.relay.stop()
    this_worker.relay = own


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory for logs, short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="clock-tests-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def broker(directory: Path) -> Iterator[Broker]:
    """A broker that every test may use, and none may harm."""
    with Broker(directory) as broker:
        yield broker


@pytest.fixture(scope="session")
def ticker(broker: Broker, directory: Path) -> Iterator[Ticker]:
    """A ticker that every test may listen to, and none may harm. It tells the time of Kathmandu."""
    with Ticker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as ticker:
        yield ticker


@pytest.fixture(scope="session")
def worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker that every test may ask, and none may harm: what it prints in the end is looked at."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as worker:
        worker.wait_for_ticks()
        yield worker
        assert "Traceback" not in worker.output()


@pytest.fixture(scope="module")  # while it is there, Playwright's event loop is this thread's, and others find no place
def browser() -> Iterator[Browser]:
    """A Chromium."""
    path = find_chromium()
    assert path, ADVICE
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without a past."""
    context = browser.new_context(**DATE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that must be silent on the console, and raise nothing."""
    page = context.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    yield page
    # Chromium itself reports a dial or a request that failed; a page cannot help that.
    own = r"WebSocket connection to|Failed to load resource: .*(net::ERR_|\b503\b)"
    assert [line for line in noise if not re.search(own, line)] == []


def lines_of(program: Program) -> list[str]:
    """Return the lines of its log, but for those about this host's clock, which may be right or not."""
    return [line for line in program.output().splitlines() if "host_clock" not in line]


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)
