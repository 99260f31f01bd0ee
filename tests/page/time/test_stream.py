"""When the page reconnects, with a fake clock and a server that always answers probes."""

from itertools import pairwise

import pytest
from playwright.sync_api import Page

from tests.page.conftest import serve_module

# A WebSocket that records each connection. `end(number)` says how the connection ends: after how many frames, one every
# 100 ms, and with which close code.
STREAM = """async (end) => {
  window.connections = [];
  window.WebSocket = class {
    constructor() {
      connections.push(performance.now());
      const { code, frames } = end(connections.length);
      for (let number = 0; number < frames; number++) {
        setTimeout(() => {
          if (number === 0) this.onopen();
          this.onmessage({ data: "{}", timeStamp: performance.now() });
        }, 10 + number * 100);
      }
      setTimeout(() => this.onclose({ code, reason: "" }), 20 + frames * 100);
    }
    close() {}
  };
  const { Stream } = await import("/stream.js");
  const stream = new Stream(new URL("ws://localhost/ws/clock/"), { rate: 100, defaultRate: 100 }, {
    frame() {}, refused() {}, note() {}, probe: () => stream.answered(),
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


def connections(page: Page, end: str, seconds: int) -> list[float]:
    """Return when a stream connects, in seconds, if its connections end like this."""
    page.evaluate(f"() => ({STREAM})({end})")
    page.clock.run_for(seconds * 1000)
    times: list[float] = page.evaluate("() => connections")
    return [time / 1000 for time in times]


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
