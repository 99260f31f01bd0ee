"""The page in a real browser, with a real worker, ticker and broker behind it."""

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from testbed.processes import Broker, Ticker, Worker
from tests.page.faces import show
from ticker.host_clock import ask_kernel

# What the page shows, frame by frame for a second: [seconds, hundredths] as they stand after each paint.
RECORD = """() => new Promise((done) => {
  const shown = [];
  const end = performance.now() + 1000;
  const look = () => {
    shown.push([document.querySelector(".seconds").textContent, document.querySelector(".fraction").textContent]);
    performance.now() < end ? requestAnimationFrame(look) : done(shown);
  };
  requestAnimationFrame(look);
})"""


def state(page: Page) -> str | None:
    """Return the state that the page is in."""
    return page.get_attribute("#clock", "data-state")


def wait_for_state(page: Page, name: str, seconds: float = 20) -> None:
    """Wait until the page is in a state."""
    page.wait_for_selector(f'#clock[data-state="{name}"]', timeout=seconds * 1000)


def test_it_shows_hundredths_that_move(page: Page, worker: Worker) -> None:
    """A second of paints: the time never goes back, and takes many values; and the page says that it is live."""
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector('.time[data-hundredths="sharp"]')  # a few round trips prove that the bound is below 10 ms
    assert state(page) == "live"
    shown: list[list[str]] = page.evaluate(RECORD)
    times = ["".join(one) for one in shown]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d\d", one) for one in times)
    assert times == sorted(times) or times[-1].startswith("00:00:0")
    assert len(set(times)) > 10
    assert page.inner_text("#state-word") == "live"


def test_it_shows_the_right_time(page: Page, worker: Worker) -> None:
    """The clock's time, date, zone and offset, wherever the browser is; the words in the reader's language."""
    page.goto(f"http://{worker.host}/clock/")
    wait_for_state(page, "live")
    now, shown = page.evaluate("() => [Date.now(), document.querySelector('.time').textContent]")
    kathmandu = now / 1000 + 345 * 60
    hours, minutes, seconds = shown.split(":")
    told = int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
    assert abs((told - kathmandu + 43_200) % 86_400 - 43_200) < 2
    assert page.inner_text(".zone").replace("\n", " ") == "Asia/Kathmandu UTC+05:45"
    weekday = time.strftime("%A", time.gmtime(kathmandu))
    assert page.inner_text(".date").replace(",", "") == time.strftime(f"{weekday} %-d %B %Y", time.gmtime(kathmandu))


def test_it_says_whether_the_server_is_right(page: Page, worker: Worker) -> None:
    """By what the kernel of the ticker's host, which is this one, says of its clock."""
    page.goto(f"http://{worker.host}/clock/")
    wait_for_state(page, "live")
    told = {
        True: "",
        False: "the server's clock is not synchronised",
        None: "whether the server's clock is synchronised is not known",
    }
    expect(page.locator("#notes")).to_have_text(told[ask_kernel()])


def test_utc_is_not_said_twice(page: Page, broker: Broker, ticker: Ticker, directory: Path) -> None:
    """A clock in UTC has no offset to speak of."""
    assert ticker.running
    with Worker(broker.url, directory) as worker:
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        assert page.inner_text(".zone").strip() == "UTC"


def test_it_keeps_its_width(page: Page, worker: Worker) -> None:
    """Whatever figures it shows, nothing moves, on a phone as in a hall; and it fits."""
    for width, height in ((390, 844), (844, 390), (1366, 768), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        measure = """() => [...Array(10).keys()].map((digit) => {
          const two = `${digit}${digit}`;
          document.querySelector(".seconds span").firstChild.data = [two, two, two].join(":");
          document.querySelector(".hundredths").firstChild.data = `.${two}`;
          return document.querySelector(".time").getBoundingClientRect().width;
        })"""
        widths = page.evaluate(measure)
        assert max(widths) - min(widths) < 0.5
        assert 0.6 * width < max(widths) <= width or max(widths) > 2.5 * height
        assert page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
            width,
            height,
        ]


def test_light_and_dark(page: Page, worker: Worker) -> None:
    """The ground is light or dark as the device wishes, and the figures are the other."""
    page.goto(f"http://{worker.host}/clock/")
    colours: dict[str, Any] = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        colours[scheme] = page.evaluate(
            """() => {
              const style = getComputedStyle(document.body);
              return [style.backgroundColor, style.color].map((colour) => Number(/\\d+/.exec(colour)[0]));
            }"""
        )
    bright, dim = 200, 100  # of 255
    assert colours["light"][0] > bright
    assert colours["light"][1] < dim
    assert colours["dark"][0] < dim
    assert colours["dark"][1] > bright


def test_a_lower_rate(page: Page, worker: Worker) -> None:
    """`/clock/?rate=2` asks the worker for two frames a second, and is live with them."""
    dialled: list[str] = []
    page.on("websocket", lambda socket: dialled.append(socket.url))
    page.goto(f"http://{worker.host}/clock/?rate=2")
    wait_for_state(page, "live")
    page.wait_for_timeout(1_500)  # between two frames it must not doubt
    assert state(page) == "live"
    assert dialled == [f"ws://{worker.host}/ws/clock/?rate=2"]


def test_a_rate_that_is_none(page: Page, worker: Worker) -> None:
    """The page says what is accepted, and is live at the rate that it has without one."""
    dialled: list[str] = []
    page.on("websocket", lambda socket: dialled.append(socket.url))
    page.goto(f"http://{worker.host}/clock/?rate=7")
    wait_for_state(page, "live")
    assert page.inner_text("#problems") == "rate=7 cannot be used. It takes: one of 100, 50, 25, 20, 10, 5, 2, 1."
    assert dialled == [f"ws://{worker.host}/ws/clock/"]


def test_it_recovers_from_everything(page: Page, directory: Path) -> None:
    """Ticker, broker and worker are killed in turn, and come back: the page says what is wrong, and is live again."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        for part in (ticker, broker, worker):
            part.kill()
            wait_for_state(page, "holdover", 3)
            assert re.fullmatch(r"no ticks since \d\d:\d\d:\d\d: counting on", page.inner_text("#state-word"))
            assert page.inner_text("#bound").endswith("growing")
            first, second = (page.inner_text(".seconds") for _ in range(2) if page.wait_for_timeout(1_100) is None)
            assert first != second
            part.start()
            wait_for_state(page, "live")


def test_a_socket_that_is_open_and_silent_is_given_up(page: Page, directory: Path) -> None:
    """A frozen worker keeps the connection open: the page says that nothing comes, and dials again."""
    with Broker(directory) as broker, Ticker(broker.url, directory) as ticker, Worker(broker.url, directory) as worker:
        dialled: list[str] = []
        page.on("websocket", lambda socket: dialled.append(socket.url))
        page.goto(f"http://{worker.host}/clock/")
        wait_for_state(page, "live")
        ticker.kill()
        page.wait_for_timeout(9_000)
        assert len(dialled) >= 2
        ticker.start()
        wait_for_state(page, "live")


# A WebSocket of the test's own: each dial is noted, and ends as `window.fate` says. Time is the page's, and faked.
FAKE_SOCKET = """
window.dials = [];
window.fate = () => ({code: 1006, frames: 0});
window.WebSocket = class {
  constructor() {
    dials.push(Math.round(performance.now()));
    const {code, frames, silent} = fate(dials.length);
    if (silent) {
      setTimeout(() => this.onopen(), 10);
      return;
    }
    for (let number = 0; number < frames; number++) {
      setTimeout(() => {
        if (number === 0) this.onopen();
        const at = 1795351680000 + number * 10;
        this.onmessage({data: JSON.stringify({message: "2026-11-22 12:48:00.00", at}), timeStamp: performance.now()});
      }, 10 + number * 100);
    }
    setTimeout(() => this.onclose({code, reason: ""}), 20 + frames * 100);
  }
  close() {}
};
"""


def dials(page: Page, worker: Worker, fate: str, seconds: int) -> list[float]:
    """Return when a stream dials, in seconds, over so much of its time, if each connection ends like this.

    The server answers whenever it is asked.
    """
    show(page, worker)
    page.clock.install(time=0)
    page.evaluate(FAKE_SOCKET + f"window.fate = {fate};")
    page.evaluate(
        """async () => {
          const { Stream } = await import("/static/clock/stream.js");
          const stream = new Stream(new URL("ws://localhost/ws/clock/"), null, {
            frame() {}, refused() {}, note() {}, ask: () => stream.answered(),
          });
          stream.open();
        }"""
    )
    page.clock.run_for(seconds * 1000)
    times: list[int] = page.evaluate("() => dials")
    return [one / 1000 for one in times]


def test_the_pauses_grow_and_are_jittered(page: Page, worker: Worker) -> None:
    """Doubling from a quarter of a second to fifteen, each drawn from its upper half."""
    times = dials(page, worker, "() => ({code: 1006, frames: 0})", 120)
    pauses = [after - before - 0.02 for before, after in pairwise(times)]
    for number, pause in enumerate(pauses):
        longest = min(0.25 * 2**number, 15)
        assert longest / 2 - 0.05 <= pause <= longest + 0.05
    assert len(pauses) > 8
    assert len({round(pause, 2) for pause in pauses}) > 5


def test_a_few_frames_prove_nothing(page: Page, worker: Worker) -> None:
    """A server that takes everybody in and drops them after 3 s is dialled less and less often."""
    times = dials(page, worker, "() => ({code: 1012, frames: 30})", 120)
    assert times[-1] - times[-2] > 7


def test_frames_that_flow_for_a_while_do(page: Page, worker: Worker) -> None:
    """After a connection of 8 s the pause is short again, however long it had become."""
    times = dials(page, worker, "(dial) => ({code: 4012, frames: dial < 6 ? 0 : 80})", 60)
    assert times[6] - times[5] < 8.02 + 0.25 + 0.1
