"""The page's timekeeper, in a browser whose time is faked, with a made-up server: what it says, and when it dials.

The server's clock runs with the page's, so the right time is known; nothing takes any time on the way.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, Route

from testbed.processes import ROOT

# `server` is what the tests set: how far its clock is set, its bound, whether it is synchronised, whether it answers
# and sends frames, how late frames are, and how connections end. `seen` is what the page did.
SERVER: Final = """async () => {
  window.server = { set: 0, bound: 1, synchronised: true, answers: true, sends: true, late: 0, fate: null };
  window.seen = { dials: [], asks: [], sockets: [], states: [], backwards: 0 };
  window.serverNow = () => 1795351680000 + performance.now() + server.set;
  window.fetch = async () => {
    seen.asks.push(performance.now());
    if (!server.answers) throw new TypeError("Failed to fetch");
    const { bound, synchronised } = server;
    return { ok: true, json: async () => ({ at: serverNow(), age: 5, bound, synchronised }) };
  };
  window.WebSocket = class {
    constructor(url) {
      this.rate = Number(new URL(url).searchParams.get("rate") ?? 100);
      this.isOpen = true;
      seen.dials.push(performance.now());
      seen.sockets.push(this);
      const fate = server.fate?.(seen.dials.length);
      if (fate) setTimeout(() => this.end(fate), 20);
      else setTimeout(() => this.onopen?.());
      setInterval(() => this.send(), 1000 / this.rate);
    }
    send() {
      if (!this.isOpen || !server.sends) return;
      const at = Math.floor((serverNow() - server.late) / 10) * 10;
      const message = new Date(at).toISOString().slice(0, 22).replace("T", " ");
      this.onmessage?.({ data: JSON.stringify({ message, at }), timeStamp: performance.now() });
    }
    end(code) {
      this.isOpen = false;
      this.onclose?.({ code, reason: "because" });
    }
    close() {
      this.isOpen = false;
    }
  };
  const { Timekeeper } = await import("/timekeeper.js");
  const timekeeper = new Timekeeper({ rate: null });
  window.begin = () => {
    window.begin = null;
    timekeeper.start();
    paint();
  };
  const paint = () => {
    requestAnimationFrame(paint);
    const reading = timekeeper.read(performance.now());
    if (reading.state !== seen.states.at(-1)) seen.states.push(reading.state);
    if (reading.time !== null && reading.time < seen.reading?.time) seen.backwards += 1;
    window.seen.reading = { ...reading, error: reading.time === null ? null : reading.time - serverNow() };
  };
}"""


def answer(route: Route) -> None:
    """Serve a module of the page, or an empty page."""
    name = route.request.url.removeprefix("http://page.test/")
    if name.endswith(".js"):
        route.fulfill(body=(ROOT / "clock/static/clock" / name).read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without a clock on it, on which time stands still unless the test lets it run."""
    page = browser.new_page()
    page.route("http://page.test/**", answer)
    page.goto("http://page.test/")
    page.evaluate("() => import('/precision.js')")  # it is measured, while time still runs by itself
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    page.evaluate(SERVER)
    yield page
    page.close()


def run(page: Page, milliseconds: int, change: str = "") -> dict[str, Any]:
    """Change something of the server, start the page if need be, let time run, and return the last reading."""
    page.evaluate(f"() => {{ seen.states.length = 0; {change}; window.begin?.(); }}")
    page.clock.run_for(milliseconds)
    reading: dict[str, Any] = page.evaluate("() => seen.reading")
    return reading


def seen(page: Page, what: str) -> Any:
    """Return what the page did."""
    return page.evaluate(f"() => seen.{what}")


def test_it_is_live_and_right(page: Page) -> None:
    """After a second, within its bound."""
    reading = run(page, 1_000)
    assert reading["state"] == "live"
    assert abs(reading["error"]) <= reading["bound"] < 2
    assert (reading["since"], reading["reason"], reading["stepped"], reading["zoneOffset"]) == (None, "", False, 0)


def test_a_bound_that_is_not_known(page: Page) -> None:
    """Is never stated, however good the time may be; and is as soon as the server knows it."""
    reading = run(page, 2_000, "server.bound = null")
    assert (reading["state"], reading["bound"]) == ("live", None)
    assert abs(reading["error"]) < 10
    reading = run(page, 20_000, "server.bound = 1")
    assert abs(reading["error"]) <= reading["bound"] < 5


def test_a_bound_that_is_not_known_for_a_moment(page: Page) -> None:
    """As when a ticker has just begun: it is asked for again at once, though the page asks rarely by then."""
    run(page, 60_000)
    assert run(page, 15_000, "server.bound = null")["bound"] is None
    run(page, 60_000, "server.bound = 1")
    page.evaluate("server.bound = null")
    while run(page, 50)["bound"] is not None:
        pass
    assert run(page, 500, "server.bound = 1")["bound"] < 5


def test_whether_the_tickers_clock_is_synchronised(page: Page) -> None:
    """Is what the server told last; and nothing, as long as it told nothing."""
    page.evaluate("server.answers = false")
    run(page, 1_000)
    assert page.evaluate("seen.reading.synchronised === undefined")
    assert run(page, 5_000, "server.answers = true")["synchronised"] is True
    for told, synchronised in (("false", False), ("null", None), ("true", True)):
        assert run(page, 20_000, f"server.synchronised = {told}")["synchronised"] is synchronised


@pytest.mark.parametrize("by", [3_600_000, -3_600_000])
def test_a_step_of_the_tickers_clock(page: Page, by: int) -> None:
    """Is shown at once, as a whole, and announced for some seconds."""
    run(page, 5_000)
    reading = run(page, 100, f"server.set = {by}")
    assert (reading["state"], reading["stepped"]) == ("live", True)
    assert abs(reading["error"]) <= reading["bound"]
    assert run(page, 6_000)["stepped"] is False
    assert seen(page, "backwards") == 0 or by < 0


@pytest.mark.parametrize("by", [60, -60])
def test_a_ticker_that_is_a_little_off(page: Page, by: int) -> None:
    """Another takes over, with a clock that differs a little: slewed, never back, and within the bound meanwhile."""
    run(page, 5_000)
    run(page, 200, f"server.set = {by}")
    for _ in range(30):
        reading = run(page, 100)
        assert reading["state"] == "live"
        assert not reading["stepped"]
        assert abs(reading["error"]) <= reading["bound"]
    assert abs(reading["error"]) < 3
    assert seen(page, "backwards") == 0


def test_frames_that_stop(page: Page) -> None:
    """Late, then holdover, with the time that the next frame was due; it counts on with a growing bound."""
    before = run(page, 2_000)
    reading = run(page, 500, "server.sends = false; server.answers = false")
    assert reading["state"] == "late"
    reading = run(page, 2_000)
    assert reading["state"] == "holdover"
    assert reading["since"] == pytest.approx(before["time"], abs=30)
    assert abs(reading["error"]) <= reading["bound"]
    assert run(page, 20_000)["bound"] > reading["bound"] + 2


def test_it_stops_when_it_may_be_far_off(page: Page) -> None:
    """With a bound past half a second no time is shown; half of the server's is left, for frames prove one side."""
    assert run(page, 2_000, "server.bound = 980")["state"] == "live"
    reading = run(page, 90_000, "server.sends = false; server.answers = false")
    assert (reading["state"], reading["time"], reading["bound"]) == ("stopped", None, None)
    assert reading["since"] is not None


def test_it_stops_without_an_answer(page: Page) -> None:
    """Frames alone do not say what time it is, for they may be old."""
    reading = run(page, 5_000, "server.answers = false")
    assert (reading["state"], reading["time"]) == ("connecting", None)
    assert run(page, 6_000)["state"] == "stopped"


def test_old_frames_are_not_live(page: Page) -> None:
    """After a stall they come as a burst, or go on coming too late: nothing that is old is taken for fresh."""
    run(page, 2_000)
    assert run(page, 3_000, "server.sends = false")["state"] == "holdover"
    run(page, 2_000, "server.sends = true; server.late = 1_500")
    assert seen(page, "states") == ["holdover"]
    assert run(page, 100, "server.late = 0")["state"] == "live"


def test_frames_that_were_always_old(page: Page) -> None:
    """Whoever has never seen any others does not take them for fresh: the answers to probes say that they are old."""
    assert run(page, 5_000, "server.late = 3_000")["state"] == "holdover"
    assert "live" not in seen(page, "states")


def test_the_server_is_asked_sparsely(page: Page) -> None:
    """A burst, then less and less often, until it is every 7 to 14 s."""
    run(page, 120_000)
    asks = seen(page, "asks")
    pauses = [after - before for before, after in pairwise(asks)]
    assert asks[4] - asks[0] < 350
    assert all(pause < 45 * 1.4**number for number, pause in enumerate(pauses))
    assert all(6_600 < pause < 13_400 for pause in pauses[18:])
    assert 20 < len(asks) < 30


def test_while_the_server_is_away(page: Page) -> None:
    """It is asked every second or two, and dialled only when it answers."""
    run(page, 10_000)
    asked = len(seen(page, "asks"))
    run(page, 60_000, "server.answers = false; seen.sockets[0].end(1006)")
    asks = seen(page, "asks")[asked:]
    assert all(990 < after - before < 2_010 for before, after in pairwise(asks[1:]))
    assert len(asks) > 30
    assert len(seen(page, "dials")) == 1
    assert run(page, 2_100, "server.answers = true")["state"] == "live"
    assert len(seen(page, "dials")) == 2


def test_a_worker_that_goes_away(page: Page) -> None:
    """4012: dialled again at once."""
    run(page, 3_000)
    assert run(page, 300, "seen.sockets[0].end(4012)")["state"] == "live"
    assert len(seen(page, "dials")) == 2
    assert seen(page, "states") == ["live"]


def test_a_worker_that_is_full(page: Page) -> None:
    """4013: dialled later."""
    run(page, 40_000, "server.fate = (dial) => 4013")
    dials = seen(page, "dials")
    assert all(after - before >= 5_000 for before, after in pairwise(dials))
    assert len(dials) >= 3


def test_a_contract_that_was_broken(page: Page) -> None:
    """4008: never dialled again; the reason is told."""
    run(page, 1_000)
    reading = run(page, 60_000, "seen.sockets[0].end(4008)")
    assert (reading["state"], reading["time"], reading["reason"]) == ("refused", None, "because")
    assert len(seen(page, "dials")) == 1


def test_a_socket_that_is_open_and_silent(page: Page) -> None:
    """It is dropped after 5 s or 6, and the next is dialled a second or two later."""
    run(page, 3_000)
    run(page, 8_500, "server.sends = false")
    assert len(seen(page, "dials")) == 2
    assert seen(page, "sockets[0].isOpen") is False
    assert run(page, 200, "server.sends = true")["state"] == "live"


HIDE: Final = """Object.defineProperty(document, "hidden", { value: %s, configurable: true });
document.dispatchEvent(new Event("visibilitychange"));"""


def test_a_page_that_nobody_sees(page: Page) -> None:
    """After 10 s a new connection brings one frame a second, then the old is let go; shown, the other way round."""
    run(page, 2_000)
    run(page, 9_900, HIDE % "true")
    assert len(seen(page, "dials")) == 1
    run(page, 1_000)
    assert seen(page, "sockets.map(({rate, isOpen}) => [rate, isOpen])") == [[100, True], [1, True]]
    run(page, 1_000)
    assert seen(page, "sockets.map(({isOpen}) => isOpen)") == [False, True]
    run(page, 60_000)
    reading = run(page, 100, HIDE % "false")
    assert reading["state"] == "live"
    assert abs(reading["error"]) <= reading["bound"] < 2
    assert seen(page, "sockets.map(({rate, isOpen}) => [rate, isOpen])") == [[100, False], [1, False], [100, True]]


def test_a_page_from_the_back_forward_cache(page: Page) -> None:
    """Its socket still seems open: it is not believed."""
    run(page, 2_000)
    reading = run(page, 100, "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert reading["state"] == "live"
    assert "connecting" in seen(page, "states") or len(seen(page, "dials")) == 2
    assert seen(page, "sockets.map(({isOpen}) => isOpen)") == [False, True]
