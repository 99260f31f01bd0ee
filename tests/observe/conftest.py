"""A clock with all its metrics, and a Prometheus that watches it. All tests share them."""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from testbed.processes import Broker, Program, Ticker, Worker, free_port, wait_until
from testbed.proxies.delay import DIRECT, DelayProxy
from tests.observe.prometheus import Prometheus

# Seconds for which a process is stopped, and between two such times.
Pulse = tuple[float, float]


class ObservedTicker(Ticker):
    """A ticker with its metrics, whose host's clock is synchronised."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self.metrics_port = free_port()
        super().__init__(redis_url, directory, CLOCK_TICKER_METRICS_PORT=str(self.metrics_port))
        self._host_clock = directory / f"host-clock-{self.metrics_port}"
        self.synchronise(is_synchronised=True)
        self.command = [sys.executable, "-m", "testbed.faults.host_clock", str(self._host_clock)]
        self._environment["DJANGO_SETTINGS_MODULE"] = "tournament.settings"

    def synchronise(self, *, is_synchronised: bool) -> None:
        """Synchronise its host's clock, or stop that."""
        self._host_clock.write_text("synchronised" if is_synchronised else "")


class ObservedWorker(Worker):
    """A worker with its metrics, for at most five viewers."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self.metrics_port = free_port()
        super().__init__(redis_url, directory, CLOCK_METRICS_PORT=str(self.metrics_port), CLOCK_MAX_VIEWERS="5")


class Watch(Program):
    """`manage.py watch` with its metrics."""

    def __init__(self, port: int, directory: Path) -> None:
        self.metrics_port = free_port()
        options = ["--rate", "10", "--metrics-port", str(self.metrics_port)]
        url = f"http://127.0.0.1:{port}"
        super().__init__("watch", [sys.executable, "manage.py", "watch", url, *options], directory)


class Clock:
    """A broker, a leader, a standby, two workers, and a viewer that reaches the first one through a balancer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broker = Broker(directory)
        self.tickers = [ObservedTicker(self.broker.url, directory) for _ in range(2)]
        self.workers = [ObservedWorker(self.broker.url, directory) for _ in range(2)]
        self.balancer = DelayProxy(self.workers[0].port, directory, DIRECT)
        self.watch = Watch(self.balancer.port, directory)

    @contextmanager
    def started(self) -> Iterator["Clock"]:
        """Run it."""
        with ExitStack() as stack:
            for program in (self.broker, *self.tickers, *self.workers, self.balancer, self.watch):
                stack.enter_context(program)
            yield self

    def leader(self, prometheus: Prometheus) -> ObservedTicker:
        """Return the ticker that leads at present: a test before may have changed that."""
        query = 'clock_ticker_state{state="leader"} == 1'
        found: list[str] = []

        def is_found() -> bool:
            found[:] = [one["metric"]["instance"].rpartition(":")[2] for one in prometheus.query(query)]
            return len(found) == 1

        wait_until(is_found, "one ticker leads")
        return next(ticker for ticker in self.tickers if str(ticker.metrics_port) == found[0])


@contextmanager
def stopped(*programs: Program, pulse: Pulse | None = None) -> Iterator[None]:
    """Stop processes by SIGSTOP, and let them continue at the end; or again and again."""
    is_over = threading.Event()

    def beat(stopped_s: float, interval_s: float) -> None:
        while not is_over.is_set():
            for program in programs:
                program.signal(SIGSTOP)
            is_over.wait(stopped_s)
            for program in programs:
                program.signal(SIGCONT)
            is_over.wait(interval_s)

    thread = threading.Thread(target=beat, args=pulse or (3600.0, 0.0))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def killed(program: Program) -> Iterator[None]:
    """End a process, and start it again at the end."""
    program.kill()
    try:
        yield
    finally:
        program.start()


@pytest.fixture(scope="session")
def clock() -> Iterator[Clock]:
    """A running clock."""
    with tempfile.TemporaryDirectory(prefix="clock-") as directory, Clock(Path(directory)).started() as clock:
        yield clock


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the clock."""
    with (
        tempfile.TemporaryDirectory(prefix="clock-") as directory,
        Prometheus(Path(directory)) as prometheus,
        prometheus.scraping("clock-ticker", [ticker.metrics_port for ticker in clock.tickers]),
        prometheus.scraping("clock-worker", [worker.metrics_port for worker in clock.workers]),
        prometheus.scraping("clock-watch", [clock.watch.metrics_port]),
    ):
        yield prometheus


@pytest.fixture
def prometheus(running: Prometheus) -> Iterator[Prometheus]:
    """The same; before and after the test no alert fires but the watchdog."""
    running.wait_for_peace()
    yield running
    running.wait_for_peace()
