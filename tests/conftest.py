"""What the tests share: a relay on a layer in memory, and the real parts of a clock."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from channels.layers import InMemoryChannelLayer
from django.apps import apps

from bench.stack import Broker, Ticker, Worker
from clock.contract import text_of
from clock.fanout import Member, Write
from clock.relay import Relay


class Client:
    """A member of a fan-out that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.rests: list[bytes] = []
        self.errors: list[OSError] = []
        self.on_write: Callable[[], None] = lambda: None
        self._place: Callable[[Member, Write], None] | None = None

    def take_place(self, place: Callable[[Member, Write], None]) -> None:
        """Have frames written here."""
        self._place = place
        self.write_by(self.write)

    def write_by(self, write: Write) -> None:
        """Have them written by another function from now on."""
        assert self._place is not None
        self._place(self, write)

    def write(self, frame: bytes) -> int:
        """Take a frame."""
        self.on_write()
        self.frames.append(frame)
        return len(frame)

    def finish(self, rest: bytes) -> None:
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
    config = apps.get_app_config("clock")
    own, config.relay = config.relay, Relay(lambda: layer)
    yield config.relay
    await config.relay.stop()
    config.relay = own


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


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)
