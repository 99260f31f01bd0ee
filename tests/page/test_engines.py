"""The page in Firefox and in WebKit: states, options, languages, and the accuracy over loopback.

All other tests of the page run in Chromium.
"""

import json
import statistics
from collections.abc import Iterator
from itertools import pairwise

import pytest

from testbed.processes import Worker, wait_until
from tests.page.support.engines import Engine, firefox, webkit
from tests.page.support.fake_timekeeper import reading
from tests.page.support.random_queries import random_queries

pytestmark = pytest.mark.soak

# These engines round Date.now() to a millisecond, and performance.now() too.
ALLOWED_MS = 2

# Keeps errors, and has the timekeeper return `window.reading` if that is set; it advances, unless it is `still`.
PREPARE = """
window.errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
const { timekeeper } = await import(document.querySelector("script[type=module]").src);
const read = timekeeper.read.bind(timekeeper);
window.readings = [];
timekeeper.read = (now) => {
  const { still, ...set } = window.reading ?? { still: false };
  const real = read(now);
  readings.push([Date.now(), real.time, real.bound, real.state]);
  return window.reading ? { ...set, time: set.time === null || still ? set.time : set.time + now } : real;
};
"""

PAINTED = "for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);"

SHOWN = """
const text = (selector) => document.querySelector(selector).textContent;
return [document.getElementById("clock").dataset.state, text("#state-text"), text("#bound"), text(".seconds")];
"""

# Uses each query. Returns [query, whether a time is shown, how many messages are listed].
USE = """
const { use } = await import(document.querySelector("script[type=module]").src);
const { readOptions } = await import("/static/clock/options.js");
const seen = [];
for (const query of %s) {
  use(readOptions(query));
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const times = [...document.querySelectorAll(".seconds")].map((one) => one.textContent);
  const shows = times.length > 0 && times.every((text) => /[0-9]:[0-9]/.test(text));
  seen.push([query, shows, document.querySelectorAll("#problems li").length]);
}
return seen;
"""


@pytest.fixture(scope="module", params=[firefox, webkit])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each of the engines in turn."""
    with request.param() as engine:
        yield engine


def open_clock(engine: Engine, worker: Worker, query: str = "") -> None:
    """Open the clock, and wait until it is live with sharp hundredths."""
    engine.open(f"http://{worker.host}/clock/{query}")
    is_live = """const time = document.querySelector(".time");
    return document.getElementById("clock").dataset.state === "live" && time.dataset.hundredths === "sharp";"""
    wait_until(lambda: bool(engine.evaluate(is_live)), "the clock is live")
    engine.evaluate(PREPARE)


def test_it_is_accurate_over_loopback(engine: Engine, worker: Worker) -> None:
    """For 10 s: a median error of at most 2 ms, within the bound, and never backwards."""
    open_clock(engine, worker)
    engine.evaluate("await new Promise((done) => setTimeout(done, 10_000));")
    readings: list[tuple[float, float | None, float | None, str]] = engine.evaluate("return readings;")
    assert len(readings) > 200, "the browser hardly paints"
    known = [(host, time, bound) for host, time, bound, _ in readings if time is not None and bound is not None]
    errors = [time - host - 0.5 for host, time, _ in known]
    inside = [abs(time - host - 0.5) <= bound + ALLOWED_MS for host, time, bound in known]
    print(
        f"{engine.name}: {len(readings)} readings, median error {statistics.median(map(abs, errors)):.2f} ms,", end=" "
    )
    print(f"bound {statistics.median(bound for *_, bound in known):.2f} ms")
    assert len(known) == len(readings)
    assert {state for *_, state in readings} == {"live"}
    assert statistics.median(abs(error) for error in errors) <= 2
    assert sum(inside) >= 0.99 * len(inside)
    assert all(before <= after for (_, before, _), (_, after, _) in pairwise(known))
    assert engine.evaluate("return errors;") == []


def test_it_shows_each_state(engine: Engine, worker: Worker) -> None:
    """With its text, its bound, and a time if it is known."""
    open_clock(engine, worker)
    dashes = ":".join(["\u2012\u2012"] * 3)
    for state, text, bound, seconds in (
        ("connecting", "connecting", "", dashes),
        ("live", "live", "± 2.4 ms", "18:33:05"),
        ("late", "late: signal delayed", "± 2.4 ms", "18:33:05"),
        ("holdover", "no signal since 18:31:58: free-running", "± 15 ms, growing", "18:33:05"),
        ("stopped", "stopped: time unknown, no signal since 18:31:58", "", dashes),
        ("refused", "refused: the server's own words", "", dashes),
    ):
        now = json.dumps(reading(state, still=True))
        assert engine.evaluate(f"window.reading = {now}; {PAINTED} {SHOWN}") == [state, text, bound, seconds]
    assert engine.evaluate("return errors;") == []


def test_it_uses_random_queries(engine: Engine, worker: Worker) -> None:
    """Each shows a clock, or a message, and raises nothing."""
    open_clock(engine, worker)
    queries = random_queries(7, 100)
    seen: list[tuple[str, bool, int]] = engine.evaluate(USE % json.dumps(queries))
    assert [query for query, shows_time, problems in seen if not shows_time and not problems] == []
    assert sum(shows_time for _, shows_time, _ in seen) > 0.9 * len(seen)
    assert engine.evaluate("return errors;") == []


def test_it_loads_with_every_kind_of_option(engine: Engine, worker: Worker) -> None:
    """A grid of clocks in Arabic, 12 hours, own colours, an offset, another rate, and the raw view."""
    query = (
        "?lang=ar&tz=Asia/Tokyo,Europe/Berlin&h=12&hundredths=on&theme=fff-003366&offset=80&rate=10&raw=on&mirror=on"
    )
    open_clock(engine, worker, query)
    found = engine.evaluate(
        """return [document.documentElement.dir, document.querySelectorAll(".readout").length,
        document.getElementById("raw").textContent.includes("frames"), getComputedStyle(document.body).backgroundColor,
        document.querySelectorAll("#problems li").length];"""
    )
    assert found == ["rtl", 2, True, "rgb(0, 51, 102)", 0]


def test_the_settings_change_the_clock_and_the_address(engine: Engine, worker: Worker) -> None:
    """The panel opens by a key."""
    open_clock(engine, worker)
    found = engine.evaluate(
        """dispatchEvent(new KeyboardEvent("keydown", { key: "s" }));
        const panel = document.getElementById("panel");
        while (!panel.open) await new Promise((done) => setTimeout(done, 10));
        const field = panel.querySelector("[name=tz]");
        field.value = "Asia/Tokyo, UTC";
        field.dispatchEvent(new Event("change", { bubbles: true }));
        return [panel.open, location.search, document.querySelectorAll(".readout").length];"""
    )
    assert found == [True, "?tz=Asia/Tokyo,UTC", 2]
