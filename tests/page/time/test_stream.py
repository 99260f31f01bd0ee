"""When the page reconnects, with a fake clock and a server that always answers probes."""

import json
from itertools import pairwise

import pytest
from playwright.sync_api import Page

from tests.page.conftest import serve_module

# A WebSocket that records each connection. `end(number)` says how the connection ends: after how many frames, one every
# 100 ms, and with which close code.
STREAM = """async (end, rate = 100) => {
  window.connections = [];
  window.sockets = [];
  window.WebSocket = class {
    constructor(url) {
      connections.push(performance.now());
      sockets.push(this);
      this.query = new URL(url).search;
      this.isOpen = true;
      const { code, frames } = end(connections.length, this.query);
      for (let number = 0; number < frames; number++) {
        setTimeout(() => {
          if (number === 0) this.onopen?.();
          this.onmessage?.({ data: "{}", timeStamp: performance.now() });
        }, 10 + number * 100);
      }
      setTimeout(() => this.close({ code, reason: "" }), 20 + frames * 100);
    }
    close(event) {
      this.isOpen = false;
      this.onclose?.(event);
    }
  };
  const { Stream } = await import("/stream.js");
  window.stream = new Stream(new URL("ws://localhost/ws/clock/"), rate, {
    frame() {}, refused: (reason) => { window.refused = true; }, note() {}, probe: () => stream.answered(),
  });
  stream.open();
}"""


@pytest.fixture
def page(separate_page: Page) -> Page:
    """An empty page with a fake clock."""
    page = separate_page
    page.route("http://modules.test/**", serve_module)
    page.goto("http://modules.test/")
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    return page


def connections(page: Page, end: str, seconds: int, rate: int | str = 100) -> list[float]:
    """Return when a stream connects, in seconds, if its connections end like this."""
    page.evaluate(f"() => ({STREAM})({end}, {json.dumps(rate)})")
    page.clock.run_for(seconds * 1000)
    times: list[float] = page.evaluate("() => connections")
    return [time / 1000 for time in times]


@pytest.mark.parametrize(("reads_all", "unread"), [(False, [1, 3, 3, 3]), (True, [1] * 11)])
def test_of_frames_in_quick_succession_few_are_read(page: Page, *, reads_all: bool, unread: list[int]) -> None:
    """The others are counted. With the raw view, all of them are read."""
    counts: list[int] = page.evaluate(
        """async (readsAll) => {
          window.WebSocket = class { constructor() { window.socket = this; } };
          const { Stream } = await import("/stream.js");
          const counts = [];
          const stream = new Stream(new URL("ws://localhost/ws/clock/"), 100, {
            readsAll, frame: (_data, { unread }) => counts.push(unread), note() {},
          });
          stream.open();
          const start = performance.now();
          for (let number = 0; number <= 10; number++) socket.onmessage({ data: "{}", timeStamp: start + number * 10 });
          return counts;
        }""",
        reads_all,
    )
    assert counts == unread


def test_pauses_double_and_are_jittered(page: Page) -> None:
    """From a quarter of a second to 15 s. Each is drawn from its upper half."""
    times = connections(page, "() => ({ code: 1006, frames: 0 })", 120)
    pauses = [after - before - 0.02 for before, after in pairwise(times)]
    for number, pause in enumerate(pauses):
        longest = min(0.25 * 2**number, 15)
        assert longest / 2 - 0.05 <= pause <= longest + 0.05
    assert len(pauses) > 8
    assert len({round(pause, 2) for pause in pauses}) > 5


def test_a_few_frames_do_not_reset_the_pause(page: Page) -> None:
    """A server that accepts every viewer and closes after 3 s gets fewer and fewer connections."""
    times = connections(page, "() => ({ code: 1012, frames: 30 })", 120)
    assert times[-1] - times[-2] > 7


def test_frames_for_some_seconds_reset_the_pause(page: Page) -> None:
    """After a connection of 8 s the pause is short, however long it was."""
    times = connections(page, "(number) => ({ code: 4012, frames: number < 6 ? 0 : 80 })", 60)
    assert times[6] - times[5] < 8.02 + 0.25 + 0.1


def is_from_the_upper_half(pause: float, longest: float) -> bool:
    """Return whether a pause, in seconds, is at most so long, and at least half."""
    return longest / 2 - 0.05 <= pause <= longest + 0.05


def test_pauses_after_a_full_worker_grow_to_a_minute(page: Page) -> None:
    """From 10 s. So thousands of pages that it refuses do not saturate it by asking."""
    times = connections(page, "() => ({ code: 4013, frames: 0 })", 400)
    pauses = [after - before - 0.02 for before, after in pairwise(times)]
    assert len(pauses) > 7
    for number, pause in enumerate(pauses):
        assert is_from_the_upper_half(pause, min(10 * 2**number, 60))
    assert len({round(pause, 1) for pause in pauses[3:]}) > 2


def test_one_that_accepts_the_page_resets_these_pauses(page: Page) -> None:
    """However short the connection is."""
    times = connections(page, "(number) => ({ code: 4013, frames: number === 5 ? 2 : 0 })", 300)
    assert times[5] - times[4] - 0.22 <= 10.05


def queries(page: Page) -> list[str]:
    """Return what each connection asked for."""
    asked: list[str] = page.evaluate("() => sockets.map(({ query }) => query)")
    return asked


@pytest.mark.parametrize(
    ("rate", "query"), [("auto", "?rate=auto"), (100, ""), (50, "?rate=50&phase=any"), (1, "?rate=1&phase=any")]
)
def test_it_asks_for_its_rate(page: Page, rate: int | str, query: str) -> None:
    """The default is left out, and any phase will do."""
    connections(page, "() => ({ code: 1006, frames: 100 })", 2, rate)
    assert queries(page) == [query]


@pytest.mark.parametrize(
    ("rate", "first", "second"), [("auto", "?rate=auto", ""), (10, "?rate=10&phase=any", "?rate=10")]
)
def test_a_worker_of_an_older_version_is_asked_again(page: Page, rate: int | str, first: str, second: str) -> None:
    """Once, at once, and in its own words: it refuses `auto`. That stays, also for a hidden page."""
    end = "(number, query) => (/auto|phase/.test(query) ? { code: 4008, frames: 0 } : { code: 4012, frames: 60 })"
    times = connections(page, end, 10, rate)
    assert times[1] - times[0] < 0.05
    assert queries(page)[:3] == [first, second, second]
    page.evaluate("() => stream.changeRate(1)")
    page.clock.run_for(1_000)
    assert queries(page)[-1] == "?rate=1"
    assert page.evaluate("() => window.refused === undefined")


@pytest.mark.parametrize("rate", ["auto", 10, 100])
def test_a_page_that_is_refused_for_another_reason_stays_refused(page: Page, rate: int | str) -> None:
    """After one attempt more than before."""
    times = connections(page, "() => ({ code: 4008, frames: 0 })", 60, rate)
    assert len(times) == (1 if rate == 100 else 2)
    assert page.evaluate("() => window.refused")


def test_a_shown_page_keeps_its_connection_while_the_worker_is_full(page: Page) -> None:
    """It retries with growing pauses, and closes the old connection only when the new one delivers frames."""
    end = "(number) => (number === 1 || number === 5 ? { code: 1006, frames: 5_000 } : { code: 4013, frames: 0 })"
    connections(page, end, 3, 1)
    page.evaluate("() => stream.changeRate('auto')")
    page.clock.run_for(31_000)
    times: list[float] = page.evaluate("() => connections.map((time) => time / 1000)")
    for number, (before, after) in enumerate(pairwise(times[1:4])):
        assert is_from_the_upper_half(after - before - 0.02, 10 * 2**number)
    assert page.evaluate("() => [sockets[0].isOpen, stream.rate]") == [True, 1]
    page.clock.run_for(41_000)
    assert page.evaluate("() => sockets.map(({ isOpen }) => isOpen)") == [False, False, False, False, True]
    assert page.evaluate("() => stream.rate") == "auto"
