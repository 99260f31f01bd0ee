"""The page's timekeeper with a fake clock and a fake server: its readings, its probes and its connections.

The server's clock runs with the page's, unless a test gives it a drift, so the true time is known. The network has no
delay.
"""

from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import Page

from tests.page.conftest import serve_module
from tests.page.support.fake_timekeeper import Reading

# A test sets `server`: the offset of its clock, its drift, its bound, whether it is synchronised, answers probes and
# sends frames, the delay of its frames, its rate for `auto`, the close codes of connections, and the page's version.
# `seen` is what the page did.
SERVER: Final = """async (rate) => {
  window.server = {
    offset: 0, drift: 0, since: 0, bound: 1, synchronised: true, answers: true, sends: true, delay: 0, autoRate: 100,
    closeCode: null, version: "1",
  };
  window.seen = { connections: [], probes: [], sockets: [], states: [], backwards: 0 };
  window.serverNow = () =>
    1795351680000 + performance.now() + server.offset + server.drift * (performance.now() - server.since);
  window.fetch = async () => {
    seen.probes.push(performance.now());
    if (!server.answers) throw new TypeError("Failed to fetch");
    const { bound, synchronised, version } = server;
    const headers = new Headers({ "Clock-Version": version });
    return { ok: true, headers, json: async () => ({ at: serverNow(), age: 5, bound, synchronised }) };
  };
  window.WebSocket = class {
    constructor(url) {
      const asked = new URL(url).searchParams.get("rate") ?? "100";
      this.rate = asked === "auto" ? asked : Number(asked);
      const code = server.closeCode?.(asked);
      this.isOpen = !code;
      seen.connections.push(performance.now());
      seen.sockets.push(this);
      if (code) setTimeout(() => this.end(code), 20);
      else setTimeout(() => this.onopen?.());
      setInterval(() => this.send(), asked === "auto" ? 10 : 1000 / this.rate);
    }
    send() {
      if (!this.isOpen || !server.sends) return;
      const at = Math.floor((serverNow() - server.delay) / 10) * 10;
      if (this.rate === "auto" && at % (1000 / server.autoRate)) return;
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
  const timekeeper = new Timekeeper({ rate, onVersion: (version) => { seen.version = version; } });
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
    window.seen.reading = { ...reading, error: reading.time === null ? NaN : reading.time - serverNow() };
  };
}"""


class Seen(Reading):
    """A reading, and its true error; NaN while no time is shown."""

    error: float


@pytest.fixture
def rate() -> int | str:
    """The rate that the page requests. A test can replace it."""
    return 100


@pytest.fixture
def page(separate_page: Page, rate: int | str) -> Page:
    """An empty page with a timekeeper. Its clock stands still until the test advances it."""
    page = separate_page
    page.route("http://modules.test/**", serve_module)
    page.goto("http://modules.test/")
    page.evaluate("() => import('/probes.js')")  # it measures the real clock's precision
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    page.evaluate(SERVER, rate)
    return page


def run(page: Page, milliseconds: int, change: str = "") -> Seen:
    """Change the server, start the timekeeper if it does not run, advance the clock, and return the last reading."""
    page.evaluate(f"() => {{ seen.states.length = 0; {change}; window.begin?.(); }}")
    page.clock.run_for(milliseconds)
    last: Seen = page.evaluate("() => seen.reading")
    return last


def times(page: Page, what: str) -> list[float]:
    """Return when the page did this: "probes" or "connections"."""
    seen: list[float] = page.evaluate(f"() => seen.{what}")
    return seen


def states(page: Page) -> list[str]:
    """Return the states since the last change."""
    seen: list[str] = page.evaluate("() => seen.states")
    return seen


def backwards(page: Page) -> int:
    """Return how often the time ran backwards."""
    seen: int = page.evaluate("() => seen.backwards")
    return seen


def sockets(page: Page) -> list[tuple[int | str, bool]]:
    """Return the rate of each connection, and whether it is open."""
    seen: list[list[int | str]] = page.evaluate("() => seen.sockets.map(({ rate, isOpen }) => [rate, isOpen])")
    return [(rate, bool(is_open)) for rate, is_open in seen]


def within_bound(reading: Seen, maximum: float) -> bool:
    """Return whether the time is within its bound, and the bound below this."""
    return reading["bound"] is not None and abs(reading["error"]) <= reading["bound"] < maximum


def test_it_is_live_and_right_after_a_second(page: Page) -> None:
    """Within a bound of 2 ms."""
    reading = run(page, 1_000)
    assert reading["state"] == "live"
    assert within_bound(reading, 2)
    assert (reading["since"], reading["reason"], reading["stepped"], reading["zoneOffset"]) == (None, "", False, 0)


def test_the_bound_is_unknown_until_the_server_knows_it(page: Page) -> None:
    """However accurate the time is."""
    reading = run(page, 2_000, "server.bound = null")
    assert (reading["state"], reading["bound"]) == ("live", None)
    assert abs(reading["error"]) < 10
    assert within_bound(run(page, 20_000, "server.bound = 1"), 5)


def test_it_probes_at_once_when_the_bound_becomes_unknown(page: Page) -> None:
    """As when a ticker just started, although the page rarely sends probes by then."""
    run(page, 60_000)
    assert run(page, 85_000, "server.bound = null")["bound"] is None
    run(page, 60_000, "server.bound = 1")
    page.evaluate("server.bound = null")
    while run(page, 50)["bound"] is not None:
        pass
    assert within_bound(run(page, 500, "server.bound = 1"), 5)


def test_synchronised_is_what_the_server_told_last(page: Page) -> None:
    """It is undefined before the first answer."""
    page.evaluate("server.answers = false")
    run(page, 1_000)
    assert page.evaluate("seen.reading.synchronised === undefined")
    assert run(page, 5_000, "server.answers = true")["synchronised"] is True
    for value, synchronised in (("false", False), ("null", None), ("true", True)):
        assert run(page, 20_000, f"server.synchronised = {value}")["synchronised"] is synchronised


@pytest.mark.parametrize("by", [3_600_000, -3_600_000])
def test_a_step_of_the_tickers_clock_is_shown_at_once(page: Page, by: int) -> None:
    """As a whole. The page mentions it for some seconds."""
    run(page, 5_000)
    reading = run(page, 100, f"server.offset = {by}")
    assert (reading["state"], reading["stepped"]) == ("live", True)
    assert within_bound(reading, 500)
    assert run(page, 6_000)["stepped"] is False
    assert backwards(page) == 0 or by < 0


@pytest.mark.parametrize("by", [60, -60])
def test_a_small_difference_between_tickers_is_slewed(page: Page, by: int) -> None:
    """Another ticker takes over: the time never runs backwards, and is within its bound meanwhile."""
    run(page, 5_000)
    run(page, 200, f"server.offset = {by}")
    for _ in range(30):
        reading = run(page, 100)
        assert reading["state"] == "live"
        assert not reading["stepped"]
        assert within_bound(reading, 500)
    assert abs(reading["error"]) < 3
    assert backwards(page) == 0


def test_without_frames_it_is_late_and_then_free_running(page: Page) -> None:
    """`since` is when the first missing frame was due. The bound grows."""
    before = run(page, 2_000)
    assert run(page, 500, "server.sends = false; server.answers = false")["state"] == "late"
    reading = run(page, 2_000)
    assert reading["state"] == "holdover"
    assert reading["since"] == pytest.approx(before["time"], abs=30)
    assert within_bound(reading, 500)
    later = run(page, 20_000)["bound"]
    assert reading["bound"] is not None
    assert later is not None
    assert later > reading["bound"] + 2


def test_it_stops_when_the_bound_exceeds_half_a_second(page: Page) -> None:
    """It then shows no time. Frames prove one side of the server's bound, so half of that bound counts."""
    assert run(page, 2_000, "server.bound = 980")["state"] == "live"
    reading = run(page, 90_000, "server.sends = false; server.answers = false")
    assert (reading["state"], reading["time"], reading["bound"]) == ("stopped", None, None)
    assert reading["since"] is not None


def test_it_stops_if_probes_stay_unanswered(page: Page) -> None:
    """Frames alone do not tell the time, because they may be old."""
    reading = run(page, 5_000, "server.answers = false")
    assert (reading["state"], reading["time"]) == ("connecting", None)
    assert run(page, 6_000)["state"] == "stopped"


def test_old_frames_do_not_make_it_live(page: Page) -> None:
    """After a stall they arrive in a burst, or remain late."""
    run(page, 2_000)
    assert run(page, 3_000, "server.sends = false")["state"] == "holdover"
    run(page, 2_000, "server.sends = true; server.delay = 1_500")
    assert states(page) == ["holdover"]
    assert run(page, 100, "server.delay = 0")["state"] == "live"


def test_frames_that_were_always_old_do_not_make_it_live(page: Page) -> None:
    """The answers to probes show that they are old."""
    assert run(page, 5_000, "server.delay = 3_000")["state"] == "holdover"
    assert "live" not in states(page)


def test_probes_become_rare(page: Page) -> None:
    """After a burst, they become less and less frequent; and once the drift is known, there is one every 40 to 80 s.

    The bound grows by no more than it does within 10 s without a known drift.
    """
    before = run(page, 30_000)["bound"]
    sent = times(page, "probes")
    pauses = [after - before for before, after in pairwise(sent)]
    assert sent[4] - sent[0] < 350
    assert all(pause < 45 * 1.4**number for number, pause in enumerate(pauses))
    widest = max(run(page, 5_000)["bound"] or 500 for _ in range(150))
    assert before is not None
    assert widest < before + 2
    rare = [after - before for before, after in pairwise(times(page, "probes")) if after > sent[0] + 400_000]
    assert all(39_900 < pause < 80_100 for pause in rare)
    assert len(rare) > 4


# Gives the server's clock another drift, without a step.
SET_DRIFT: Final = """server.offset += server.drift * (performance.now() - server.since);
server.since = performance.now();"""


@pytest.mark.parametrize("rate", ["auto"])
@pytest.mark.parametrize("drift", [500e-6, -500e-6])
def test_a_clock_that_changes_its_rate_is_noticed(page: Page, drift: float) -> None:
    """Within 15 s, although the page sends a probe a minute by then: frames no longer arrive as the drift predicts.

    500 ppm is the fastest slew of an NTP client. The page cannot know of it until it has moved the clock by the bound.
    """
    run(page, 300_000, f"{SET_DRIFT} server.drift = 50e-6; server.autoRate = 10")
    before = len(times(page, "probes"))
    run(page, 15_000, f"{SET_DRIFT} server.drift = {drift}")
    assert len(times(page, "probes")) > before
    for _ in range(60):
        reading = run(page, 1_000)
        assert reading["state"] == "live"
        assert abs(reading["error"]) < 15_000 * abs(drift - 50e-6), "what the clock moves in 15 s"
    assert len(times(page, "probes")) > before + 5
    assert backwards(page) == 0


@pytest.mark.parametrize("rate", ["auto"])
def test_a_change_of_the_rate_by_the_server_changes_nothing_else(page: Page) -> None:
    """The page requested `auto`. The state, the error and the bound are those of one frame per tick."""
    run(page, 20_000)
    for frames in (10, 100, 25, 10, 50):
        for _ in range(10):
            assert within_bound(run(page, 500, f"server.autoRate = {frames}"), 5)
            assert states(page) == ["live"]
    assert len(times(page, "connections")) == 1


@pytest.mark.parametrize("rate", ["auto"])
@pytest.mark.parametrize("frames", [100, 10])
def test_at_any_rate_of_the_server_missing_frames_show_as_soon(page: Page, frames: int) -> None:
    """Late after a quarter of a second, and in holdover after a second. `since` is right to a tenth."""
    before = run(page, 5_000, f"server.autoRate = {frames}")
    assert run(page, 200, "server.sends = false")["state"] == "live"
    assert run(page, 150)["state"] == "late"
    reading = run(page, 800)
    assert reading["state"] == "holdover"
    assert reading["since"] == pytest.approx(before["time"], abs=110)


def test_it_tells_the_version_of_each_answer(page: Page) -> None:
    """So the page needs no request to learn of an update."""
    run(page, 1_000)
    assert page.evaluate("seen.version") == "1"
    run(page, 90_000, "server.version = '2'")
    assert page.evaluate("seen.version") == "2"


def test_while_the_server_is_unavailable_it_sends_probes(page: Page) -> None:
    """One every second or two. It connects only after an answer."""
    run(page, 10_000)
    before = len(times(page, "probes"))
    run(page, 60_000, "server.answers = false; seen.sockets[0].end(1006)")
    sent = times(page, "probes")[before:]
    assert all(990 < after - before < 2_010 for before, after in pairwise(sent[1:]))
    assert len(sent) > 30
    assert len(times(page, "connections")) == 1
    assert run(page, 2_100, "server.answers = true")["state"] == "live"
    assert len(times(page, "connections")) == 2


def test_it_reconnects_at_once_to_a_worker_that_goes_away(page: Page) -> None:
    """Close code 4012. It is live all the time."""
    run(page, 3_000)
    assert run(page, 300, "seen.sockets[0].end(4012)")["state"] == "live"
    assert len(times(page, "connections")) == 2
    assert states(page) == ["live"]


def test_it_reconnects_later_to_a_full_worker(page: Page) -> None:
    """Close code 4013. It shows the time by its probes meanwhile, which become as rare as those of others."""
    reading = run(page, 300_000, "server.closeCode = () => 4013")
    assert reading["state"] == "holdover"
    assert within_bound(reading, 5)
    connections = times(page, "connections")
    assert all(after - before >= 5_000 for before, after in pairwise(connections))
    assert 6 < len(connections) < 15
    assert len(times(page, "probes")) < 18 + 2 * 20


def test_it_never_reconnects_after_a_broken_contract(page: Page) -> None:
    """Close code 4008. It shows the server's reason."""
    run(page, 1_000)
    reading = run(page, 60_000, "seen.sockets[0].end(4008)")
    assert (reading["state"], reading["time"], reading["reason"]) == ("refused", None, "because")
    assert len(times(page, "connections")) == 1


def test_it_closes_an_open_connection_that_is_silent(page: Page) -> None:
    """After 5 to 6 s, and connects again a second or two later."""
    run(page, 3_000)
    run(page, 8_500, "server.sends = false")
    assert [is_open for _, is_open in sockets(page)] == [False, True]
    assert run(page, 200, "server.sends = true")["state"] == "live"


HIDE: Final = """Object.defineProperty(document, "hidden", { value: %s, configurable: true });
document.dispatchEvent(new Event("visibilitychange"));"""


def test_a_hidden_page_asks_for_one_frame_a_second(page: Page) -> None:
    """After 10 s, by a new connection; the old one is closed when that delivers frames. Shown again, the reverse."""
    run(page, 2_000)
    run(page, 9_900, HIDE % "true")
    assert len(sockets(page)) == 1
    run(page, 1_000)
    assert sockets(page) == [(100, True), (1, True)]
    run(page, 1_000)
    assert sockets(page) == [(100, False), (1, True)]
    run(page, 60_000)
    reading = run(page, 100, HIDE % "false")
    assert reading["state"] == "live"
    assert within_bound(reading, 2)
    assert sockets(page) == [(100, False), (1, False), (100, True)]


@pytest.mark.parametrize("rate", ["auto"])
def test_a_page_that_is_refused_when_it_is_shown_stays_live(page: Page) -> None:
    """The worker became full while it was hidden: it keeps its connection at one frame a second, and retries."""
    run(page, 12_500, HIDE % "true")
    assert sockets(page) == [("auto", False), (1, True)]
    run(page, 2_000, f"server.closeCode = (asked) => asked === 'auto' && 4013; {HIDE % 'false'}")
    for _ in range(60):
        reading = run(page, 1_000)
        assert reading["state"] == "live"
        assert within_bound(reading, 5)
    assert sockets(page)[1] == (1, True)
    assert 4 <= len(sockets(page)) <= 6
    assert run(page, 60_000, "server.closeCode = null")["state"] == "live"
    assert [asked for asked, is_open in sockets(page) if is_open] == ["auto"]


def test_a_page_from_the_back_forward_cache_reconnects(page: Page) -> None:
    """Its connection still looks open, and may be dead."""
    run(page, 2_000)
    reading = run(page, 100, "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert reading["state"] == "live"
    assert [is_open for _, is_open in sockets(page)] == [False, True]
