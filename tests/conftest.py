"""Shared fixtures: a relay on an in-memory layer, the real processes of a clock, and a real browser."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from channels.layers import InMemoryChannelLayer
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from clock.asgi import Viewer, Write
from clock.broadcast.relay import Relay
from clock.broadcast.worker import current_worker
from clock.contract import frame_text
from testbed.browser import ADVICE, CHROMIUM_ARGUMENTS, find_chromium
from testbed.processes import Broker, Program, Ticker, Worker


class FakeViewer:
    """A viewer that records its frames, and its errors."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.rests: list[bytes] = []
        self.errors: list[OSError] = []
        self.on_write: Callable[[], None] = lambda: None
        self._set_writer: Callable[[Viewer, Write], None] | None = None

    def bind_writer(self, set_writer: Callable[[Viewer, Write], None]) -> None:
        """Register `write` as the writer."""
        self._set_writer = set_writer
        self.use_writer(self.write)

    def use_writer(self, write: Write) -> None:
        """Register another writer."""
        assert self._set_writer is not None
        self._set_writer(self, write)

    def write(self, frame: bytes) -> int:
        """Record a frame."""
        self.on_write()
        self.frames.append(frame)
        return len(frame)

    def send_rest(self, rest: bytes) -> None:
        """Record the rest of a frame."""
        self.rests.append(rest)

    def fail(self, error: OSError) -> None:
        """Record an error."""
        self.errors.append(error)

    @property
    def texts(self) -> list[str]:
        """The texts of the frames."""
        return [frame_text(frame) for frame in self.frames]


@pytest.fixture
def layer() -> InMemoryChannelLayer:
    """A channel layer in this process."""
    return InMemoryChannelLayer()


@pytest.fixture
async def relay(layer: InMemoryChannelLayer) -> AsyncIterator[Relay]:
    """The relay of this process, on the in-memory layer. A test starts it if it needs to."""
    parts = vars(current_worker)
    original = dict(parts)
    parts.clear()
    current_worker.relay = Relay(lambda: layer)
    yield current_worker.relay
    await current_worker.stop()
    parts.clear()
    parts.update(original)


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory for logs. Its path is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="clock-tests-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def broker(directory: Path) -> Iterator[Broker]:
    """A broker that every test may use. No test may stop or reconfigure it."""
    with Broker(directory) as broker:
        yield broker


@pytest.fixture(scope="session")
def ticker(broker: Broker, directory: Path) -> Iterator[Ticker]:
    """A ticker that every test may subscribe to. No test may stop it. Its time zone is Kathmandu."""
    with Ticker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as ticker:
        yield ticker


@pytest.fixture(scope="session")
def worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker that every test may use. No test may stop it. Its log must not contain a traceback."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_TIME_ZONE="Asia/Kathmandu") as worker:
        worker.wait_for_ticks()
        yield worker
        assert "Traceback" not in worker.output()


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Run a headless Chromium. Meanwhile Playwright's event loop blocks others in this thread."""
    path = find_chromium()
    assert path, ADVICE
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with run_browser() as chromium:
        yield chromium


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A new browser context."""
    context = browser.new_context(locale="en-GB", timezone_id="America/New_York")  # both differ from the clock's
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that must log nothing to the console, and raise no error."""
    page = context.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    yield page
    # Chromium itself logs failed connections and requests, and a page cannot prevent that.
    ignored = r"WebSocket connection to|Failed to load resource: .*(net::ERR_|\b503\b)"
    assert [line for line in noise if not re.search(ignored, line)] == []


def lines_of(program: Program) -> list[str]:
    """Return the lines of its log without the version, and without those about the host's clock, which varies."""
    return [line for line in program.output().splitlines()[1:] if "host_clock" not in line]


async def settle() -> None:
    """Let the event loop run everything that is ready."""
    for _ in range(10):
        await asyncio.sleep(0)
