"""A page in a crowd: what Chromium shows alone on its worker, and with 8,999 other pages there.

The reference is the host's clock, which is the ticker's too. `Date.now()` lags it by up to a millisecond, alone as in
the crowd, so the difference of the two errors does not contain that.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Error, sync_playwright

from bench.scenarios.steady import AUTO, PARALLEL, SETTLE_AUTO_S
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER
from bench.trial.sample import Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import NotPossible, Side, Stage
from testbed.browser import ADVICE, CHROMIUM_ARGUMENTS, find_chromium

OTHERS: Final = 8_999

# At first a page sends many probes, and its bound shrinks with each.
SETTLE_S: Final = 5.0
READ_S: Final = 5.0
MIN_READINGS: Final = 50

LIVE: Final = '#clock[data-state="live"]'

# Records what the page reads before it paints: [the host's clock, the time, its bound], in milliseconds.
LISTEN: Final = """async () => {
  const { timekeeper } = await import(document.querySelector("script[type=module]").src);
  const read = timekeeper.read.bind(timekeeper);
  window.readings = [];
  timekeeper.read = (now) => {
    const reading = read(now);
    readings.push([Date.now(), reading.time, reading.bound]);
    return reading;
  };
}"""


@contextmanager
def crowded_page(stage: Stage) -> Iterator[TakeTurn]:
    """Show a page alone, and then with the others, which send probes as well."""
    path = find_chromium()
    if path is None:
        raise NotPossible(ADVICE.splitlines()[0])
    with ExitStack() as exits:
        side = exits.enter_context(Side(SUBJECTS[WORKER], stage))
        playwright = exits.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS])
        exits.callback(browser.close)

        def take_turn() -> Turn:
            alone_error_ms, alone_bound_ms = shown(browser, side.port, stage)
            side.connect(OTHERS, AUTO, parallel=PARALLEL, pages=True)
            side.resume()
            stage.wait(SETTLE_AUTO_S)
            side.begin()
            error_ms, bound_ms = shown(browser, side.port, stage)
            side.stop()
            sample = side.collect()
            sample.values.update(
                error_ms=error_ms, bound_ms=bound_ms, alone_error_ms=alone_error_ms, alone_bound_ms=alone_bound_ms
            )
            side.disconnect()
            return {WORKER: sample}

        yield take_turn


def shown(browser: Browser, port: int, stage: Stage) -> tuple[float, float]:
    """Return the median error of what a page shows, without its sign, and the median of its ± (both in ms).

    Raises:
        AssertionError: the page does not show the time.
    """
    page = browser.new_page()
    try:
        page.goto(f"http://127.0.0.1:{port}/clock/")
        page.wait_for_selector(LIVE)
        stage.wait(SETTLE_S)
        page.evaluate(LISTEN)
        stage.wait(READ_S)
        readings: list[list[Any]] = page.evaluate("() => readings")
    except Error as error:
        raise AssertionError(f"the page in Chromium: {error.message.splitlines()[0]}") from error
    finally:
        page.close()
    return medians(readings)


def medians(readings: list[list[Any]]) -> tuple[float, float]:
    """Return the median error, without its sign, and the median bound.

    Raises:
        AssertionError: the browser hardly painted, or a reading shows no time or no bound.
    """
    assert len(readings) >= MIN_READINGS, "the browser hardly paints"
    assert all(None not in reading for reading in readings), "the page shows no time, or no bound"
    errors = [abs(time - host) for host, time, _ in readings]
    return statistics.median(errors), statistics.median(bound for _, _, bound in readings)
