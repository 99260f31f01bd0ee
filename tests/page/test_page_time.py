"""How right the page is, and how honest: measured in a real Chromium, with a real worker, broker and ticker.

The reference is the host's clock, which is the ticker's too. `Date.now()` trails it by 0.1 to 1.1 ms: half is added,
and the rest allowed. What is measured is what the page itself reads before it paints: the tests listen in.
"""

import os
import random
import signal
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from testbed.processes import Broker, Ticker, Worker
from testbed.proxies.delay import DelayProxy
from tests.page.headed import XVFB, Tab, headed_chromium
from tests.page.queries import random_query

TRAILS, ALLOWED = 0.6, 0.5  # milliseconds: of Date.now()

# The host's clock, kept apart from the device's, which tests can set by `window.deviceIsOff` (ms); and when the last
# frame came.
REFERENCE: Final = """
window.hostNow = Date.now.bind(Date);
window.deviceIsOff = 0;
window.lastFrame = null;
Date = class extends Date {
  constructor(...parts) { super(...(parts.length ? parts : [Date.now()])); }
  static now() { return hostNow() + deviceIsOff; }
};
window.WebSocket = class extends WebSocket {
  constructor(...parts) {
    super(...parts);
    this.addEventListener("message", () => (window.lastFrame = performance.now()));
  }
};
"""

# Nothing is left out where changes are judged.
needs_windows = pytest.mark.skipif(XVFB is None and "CI" not in os.environ, reason="needs Xvfb: apt-get install xvfb")

# Counts frames, and notes dials.
COUNT: Final = """
window.WebSocket = class extends WebSocket {
  constructor(...parts) {
    super(...parts);
    dialled.push(String(parts[0]));
    this.addEventListener("message", () => (window.frames_ += 1));
  }
};
"""

# Notes every reading that the page takes: [host's clock, time, bound, state, stepped].
LISTEN: Final = """async () => {
  const { timekeeper } = await import(document.querySelector("script[type=module]").src);
  const read = timekeeper.read.bind(timekeeper);
  window.readings = [];
  timekeeper.read = (now) => {
    const reading = read(now);
    readings.push([hostNow(), reading.time, reading.bound, reading.state, reading.stepped]);
    return reading;
  };
}"""

# Notes every change of the state on the screen: [state, milliseconds since the last frame came, the host's clock].
WATCH: Final = """() => {
  const clock = document.getElementById("clock");
  window.changes = [];
  new MutationObserver(() => changes.push([clock.dataset.state, performance.now() - lastFrame, hostNow()]))
    .observe(clock, { attributeFilter: ["data-state"] });
}"""

# Has the page use what each query asks for. Returns [query, whether a time is shown, how many problems are told].
USE: Final = """async (queries) => {
  const { use } = await import(document.querySelector("script[type=module]").src);
  const { readOptions } = await import("/static/clock/options.js");
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const seen = [];
  for (const query of queries) {
    use(readOptions(query));
    await painted();
    const times = [...document.querySelectorAll(".seconds")].map((one) => one.textContent);
    const problems = [...document.querySelectorAll("#problems li")].filter((one) => one.checkVisibility());
    seen.push([query, times.length > 0 && times.every((text) => /[0-9]:[0-9]/.test(text)), problems.length]);
  }
  return seen;
}"""


class Row(NamedTuple):
    """A row of the table."""

    what: str
    target: str
    measured: str
    passed: bool

    def __str__(self) -> str:
        """Return the row as Markdown."""
        return f"| {self.what} | {self.target} | {self.measured} | {'pass' if self.passed else 'FAIL'} |"


def figure(measured: float, unit: str) -> str:
    """Return a count or a measure in words."""
    return f"{measured}" if isinstance(measured, int) else f"{measured:.2f} {unit}"


class Table:
    """What was measured, beside what was to be reached."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def at_most(self, what: str, measured: float, target: float, unit: str) -> None:
        """Note a figure that should be small."""
        self._note(Row(what, f"at most {target:g} {unit}".strip(), figure(measured, unit), measured <= target))

    def at_least(self, what: str, measured: float, target: float, unit: str) -> None:
        """Note a figure that should be large."""
        self._note(Row(what, f"at least {target:g} {unit}".strip(), figure(measured, unit), measured >= target))

    def _note(self, row: Row) -> None:
        self.rows.append(row)
        assert self.rows

    def check(self, first: int) -> None:
        """Demand that all rows from the given one on have reached their target."""
        failed = [str(row) for row in self.rows[first:] if not row.passed]
        assert not failed, "\n".join(failed)


@pytest.fixture(scope="module")
def whole_table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """All rows; they are printed in the end, whatever pytest hides."""
    table = Table()
    yield table
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n\n| what | target | measured |  |\n| --- | --- | --- | --- |", *table.rows, sep="\n")


@pytest.fixture
def table(whole_table: Table) -> Iterator[Table]:
    """The table; the test fails if a row that it adds does."""
    first = len(whole_table.rows)
    yield whole_table
    whole_table.check(first)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser without a past."""
    context = browser.new_context()
    context.add_init_script(REFERENCE)
    yield context.new_page()
    context.close()


def show(page: Page, host: str, query: str = "") -> None:
    """Show the clock, and wait until it is live."""
    page.goto(f"http://{host}/clock/{query}")
    page.wait_for_selector('#clock[data-state="live"]')


class Accuracy(NamedTuple):
    """How right a page was: errors in milliseconds, sorted, and what share (%) of all readings was within its bound."""

    errors: list[float]
    inside: float
    back: int
    bound: float  # at the median

    @property
    def median(self) -> float:
        """Half of the errors are larger."""
        return statistics.median(self.errors)

    @property
    def p99(self) -> float:
        """One of a hundred errors is larger."""
        return self.errors[int(0.99 * len(self.errors))]


def listen(page: Page, seconds: float) -> Accuracy:
    """Listen to what the page reads before each paint, for so long."""
    page.evaluate(LISTEN)
    page.wait_for_timeout(seconds * 1_000)
    readings: list[tuple[float, float | None, float | None, str, bool]] = page.evaluate("() => readings")
    assert len(readings) > 20 * seconds, "the browser hardly paints"
    times = [told for _, told, _, _, _ in readings if told is not None]
    off = [(told - host - TRAILS, bound) for host, told, bound, _, _ in readings if told is not None]
    inside = sum(bound is not None and abs(error) <= bound + ALLOWED for error, bound in off)
    return Accuracy(
        sorted(abs(error) for error, _ in off),
        100 * inside / len(readings),
        sum(after < before for before, after in pairwise(times)),
        statistics.median(bound for _, bound in off if bound is not None),
    )


def test_on_loopback(page: Page, worker: Worker, table: Table) -> None:
    """For 60 s."""
    show(page, worker.host)
    accuracy = listen(page, 60)
    table.at_most("loopback, 60 s: error, median", accuracy.median, 2, "ms")
    table.at_most("loopback: error, 99 %", accuracy.p99, 8, "ms")
    table.at_least(f"loopback: inside the stated ± ({accuracy.bound:.1f} ms)", accuracy.inside, 99, "%")
    table.at_most("loopback: steps back", accuracy.back, 0, "")


def test_over_a_long_line(page: Page, worker: Worker, directory: Path, table: Table) -> None:
    """80 ± 30 ms each way, and two stalls, for 60 s."""
    with DelayProxy(worker.port, directory) as line:
        show(page, line.host)
        accuracy = listen(page, 60)
    table.at_most("80 ± 30 ms each way, 60 s: error, median", accuracy.median, 10, "ms")
    table.at_least(f"80 ± 30 ms: inside the stated ± ({accuracy.bound:.1f} ms)", accuracy.inside, 99, "%")
    table.at_most("80 ± 30 ms: steps back", accuracy.back, 0, "")


def test_a_device_whose_clock_is_wrong(page: Page, worker: Worker, table: Table) -> None:
    """By 4 minutes from the start, and set right and wrong again meanwhile, forth and back."""
    page.add_init_script("window.deviceIsOff = 240_000")
    show(page, worker.host)
    page.evaluate(
        """() => [0, -240_000, 240_000].forEach((off, number) =>
          setTimeout(() => (window.deviceIsOff = off), 3_000 * (number + 1)))"""
    )
    accuracy = listen(page, 15)
    table.at_most("device's clock off by 4 minutes: error, median", accuracy.median, 2, "ms")
    table.at_most("device's clock off by 4 minutes: error, 99 %", accuracy.p99, 8, "ms")
    table.at_least("device's clock off by 4 minutes: inside the stated ±", accuracy.inside, 99, "%")
    table.at_most("device's clock off by 4 minutes: steps back", accuracy.back, 0, "")


@pytest.mark.parametrize("rate", [100, 10])
def test_frames_that_stop(page: Page, directory: Path, table: Table, rate: int) -> None:
    """The ticker stands still, three times."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        show(page, worker.host, f"?rate={rate}")
        late, holdover = [], []
        for _ in range(3):
            page.wait_for_selector('#clock[data-state="live"]')
            page.wait_for_timeout(1_000)
            page.evaluate(WATCH)
            ticker.signal(signal.SIGSTOP)
            page.wait_for_selector('#clock[data-state="holdover"]')
            after = {state: since for state, since, _ in page.evaluate("() => changes")}
            ticker.signal(signal.SIGCONT)
            late.append(after["late"])
            holdover.append(after["holdover"])
    table.at_most(f"frames stop, rate {rate}: late on screen within", max(late), 300, "ms")
    table.at_most(f"frames stop, rate {rate}: holdover within", max(holdover), 1_100, "ms")


@pytest.mark.timeout(150)
def test_a_server_that_comes_back(page: Page, broker: Broker, ticker: Ticker, directory: Path, table: Table) -> None:
    """Killed, and back after 60 s; the page was not loaded again."""
    assert ticker.running
    with Worker(broker.url, directory) as worker:
        worker.wait_for_ticks()
        show(page, worker.host)
        worker.kill()
        page.wait_for_selector('#clock[data-state="holdover"]')
        page.evaluate(WATCH)
        time.sleep(60)
        page.evaluate("() => changes.splice(0)")
        worker.start()
        back = time.time()
        page.wait_for_selector('#clock[data-state="live"]')
        (live,) = [at for state, _, at in page.evaluate("() => changes") if state == "live"]
    table.at_most("server back after 60 s: live again within", live / 1_000 - back, 3, "s")


# One socket and one text node: the least that a page which shows ticks can be. It is made of a page of the worker's,
# for Chromium lets none that a test made up connect to this machine.
BARE: Final = """() => {
  const text = document.createTextNode("-");
  document.body.replaceChildren(text);
  let newest = null;
  window.socket = new WebSocket(`ws://${location.host}/ws/clock/`);
  socket.onmessage = ({ data }) => (newest = JSON.parse(data));
  const paint = () => {
    requestAnimationFrame(paint);
    if (newest) text.data = newest.message;
  };
  requestAnimationFrame(paint);
}"""


def main_thread(page: Page, seconds: float) -> float:
    """Return how long a page's main thread is busy, in milliseconds a second."""
    page.wait_for_timeout(5_000)  # it asks for the time again and again at first
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def read() -> tuple[float, float]:
        metrics: Any = session.send("Performance.getMetrics")["metrics"]
        named = {metric["name"]: metric["value"] for metric in metrics}
        return named["TaskDuration"], named["Timestamp"]

    busy, began = read()
    page.wait_for_timeout(seconds * 1_000)
    busy_then, ended = read()
    return 1_000 * (busy_then - busy) / (ended - began)


def test_the_main_thread(browser: Browser, worker: Worker, table: Table) -> None:
    """Beside a bare page, by turns in the same run."""
    clocks, bares = [], []
    for _ in range(3):
        for path, figures in (("clock/", clocks), ("healthz", bares)):
            page = browser.new_page()
            page.goto(f"http://{worker.host}/{path}")
            if figures is bares:
                page.evaluate(BARE)
            figures.append(main_thread(page, 6))
            page.close()
    clock, bare = statistics.median(clocks), statistics.median(bares)
    table.at_most(
        f"main thread ({clock:.0f} beside {bare:.0f} ms a second)", clock / bare, 1.25, "x that of a bare page"
    )


def exact_after(readings: list[tuple[float, float | None, float | None, str, bool]], shown_at: float) -> float:
    """Return the milliseconds after which all readings are known, within their bound of the truth, and live."""
    wrong = [
        host
        for host, told, bound, state, _ in readings
        if told is None or bound is None or state != "live" or abs(told - host - TRAILS) > bound + ALLOWED
    ]
    return max([0, *(host - shown_at + 17 for host in wrong)])  # and one paint more


# Notes when the page is shown, and begins the list of readings anew.
SHOWN: Final = """(() => {
  const note = () => {
    if (document.hidden) return;
    window.shownAt = hostNow();
    readings.length = 0;
  };
  document.addEventListener("visibilitychange", note);
})()"""


@needs_windows
def test_a_tab_that_was_hidden(worker: Worker, table: Table) -> None:
    """For 12 s, in a Chromium with windows: one frame a second meanwhile, and then exact again."""
    with headed_chromium() as browser:
        clock, other = Tab(browser, "about:blank"), Tab(browser, "about:blank")
        clock.before_each_page(REFERENCE + "window.frames_ = 0; window.dialled = [];" + COUNT)
        clock.to_front().open(f"http://{worker.host}/clock/")
        clock.wait_for("document.getElementById('clock')?.dataset.state === 'live'")
        clock.evaluate(f"({LISTEN})()")
        clock.evaluate(SHOWN)
        other.to_front()
        clock.wait_for("document.hidden")
        clock.wait_for("dialled.length === 2")
        time.sleep(2)  # so that the old connection is let go
        before = clock.evaluate("frames_")
        time.sleep(4)
        frames = clock.evaluate("frames_") - before
        clock.to_front()
        clock.wait_for("window.shownAt && hostNow() - shownAt > 2_000")
        exact = exact_after(clock.evaluate("readings"), clock.evaluate("shownAt"))
        assert clock.evaluate("dialled")[1:] == [
            f"ws://{worker.host}/ws/clock/?rate=1",
            f"ws://{worker.host}/ws/clock/",
        ]
    table.at_most("hidden for 16 s: frames a second meanwhile", frames / 4, 1.5, "")
    table.at_most("shown again: exact within", exact, 300, "ms")


@needs_windows
def test_a_page_from_the_back_forward_cache(worker: Worker, table: Table) -> None:
    """It was left for another for 2 s; Playwright's browsers have no such cache."""
    with headed_chromium() as browser:
        clock = Tab(browser, "about:blank")
        clock.before_each_page(REFERENCE)
        clock.to_front().open(f"http://{worker.host}/clock/")
        clock.wait_for("document.getElementById('clock')?.dataset.state === 'live'")
        clock.evaluate(f"({LISTEN})()")
        clock.evaluate(
            """addEventListener("pageshow", ({ persisted }) => {
              window.persisted = persisted; window.shownAt = hostNow(); readings.length = 0; })"""
        )
        clock.open(f"http://{worker.host}/healthz")
        time.sleep(2)
        clock.evaluate("history.back()")
        clock.wait_for("window.shownAt && hostNow() - shownAt > 1_000")
        assert clock.evaluate("persisted")
        exact = exact_after(clock.evaluate("readings"), clock.evaluate("shownAt"))
    table.at_most("from the back-forward cache: exact within", exact, 300, "ms")


def test_a_busy_page_does_not_doubt(page: Page, worker: Worker) -> None:
    """Its main thread is blocked for 0.6 s; what queued is taken in before anything is said of it."""
    show(page, worker.host)
    page.evaluate(LISTEN)
    page.evaluate(WATCH)
    for _ in range(5):
        page.evaluate("() => { const end = performance.now() + 600; while (performance.now() < end); }")
        page.wait_for_timeout(200)
    assert {state for _, _, _, state, _ in page.evaluate("() => readings")} == {"live"}
    assert page.evaluate("() => changes") == []


def test_a_sleep(page: Page, worker: Worker) -> None:
    """performance.now() stands still, as it does in suspend: an old time is never shown, and the right one soon is."""
    page.add_init_script(
        """window.asleep = 0; const running = performance.now.bind(performance);
        performance.now = () => running() - asleep;
        const stamp = Object.getOwnPropertyDescriptor(Event.prototype, "timeStamp").get;
        Object.defineProperty(Event.prototype, "timeStamp", { get() { return stamp.call(this) - asleep; } });
        performance.getEntriesByName = () => [];"""
    )
    show(page, worker.host)
    page.evaluate(LISTEN)
    page.evaluate(
        "() => { const end = hostNow() + 700; while (hostNow() < end); asleep = 700; return readings.splice(0); }"
    )
    page.wait_for_timeout(1_000)
    readings = page.evaluate("() => readings")
    assert all(told is None or abs(told - host) < 20 for host, told, *_ in readings)
    assert readings[-1][3] == "live"
    assert not any(stepped for *_, stepped in readings)


def test_a_thousand_random_option_strings(page: Page, worker: Worker, table: Table) -> None:
    """A page that stays uses one after the other. That a page can also begin with them, test_options.py shows."""
    raised: list[str] = []
    page.on("pageerror", lambda error: raised.append(str(error)))
    page.on("console", lambda message: raised.append(message.text))
    show(page, worker.host)
    draw = random.Random(7)
    seen: list[tuple[str, bool, int]] = page.evaluate(USE, [random_query(draw) for _ in range(1_000)])
    bad = [query for query, clock, problems in seen if not clock and not problems]
    assert 200 < sum(problems > 0 for *_, problems in seen) < 1_000
    assert sum(clock for _, clock, _ in seen) > 900
    table.at_most("1,000 random option strings: exceptions in the console", len(raised), 0, "")
    table.at_most("1,000 random option strings: neither a clock nor a message", len(bad), 0, "")
