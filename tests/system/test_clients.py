"""The clients in docs/protocol.md work against a real worker, and reconnect by the close codes."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, CLOSE_GOING_AWAY
from testbed.processes import Broker, Program, Ticker, Worker, wait_until

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 29


def source(language: str) -> str:
    """Return the only block of a language in the document."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture
def small_worker(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker that drains at once and has room for one viewer."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_DRAIN_NOTICE="0", CLOCK_DRAIN_SPREAD="0", CLOCK_MAX_VIEWERS="1") as worker:
        worker.wait_for_ticks()
        yield worker


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_client_has_less_than_30_lines(language: str) -> None:
    """Blank lines included."""
    assert len(source(language).splitlines()) <= MAX_LINES


def test_the_python_client(small_worker: Worker, directory: Path) -> None:
    """It shows ticks, reconnects at once after 4012, waits after 4013, and ends with the reason after 4008."""
    script = directory / "client.py"
    script.write_text(source("python"))

    def client(rate: str) -> Program:
        return Program("client", [sys.executable, str(script), small_worker.host, rate], directory)

    with client("100") as follower:
        follower.wait_for_output("20", times=20)
        small_worker.stop()
        follower.wait_for_output(f"{CLOSE_GOING_AWAY} (private use) the worker is going away; retrying in 0.")
        small_worker.start()
        before = follower.output().count("\n")
        wait_until(lambda: follower.output().count("\n") > before + 20, "ticks again")
        with client("100") as second:
            second.wait_for_output("disconnected")
            assert re.search(rf"disconnected: {CLOSE_FULL} .*; retrying in (5|6|7|8|9|10)\.", second.output())
    with client("7") as refused:
        assert refused.wait() == 1
        assert refused.output().startswith("rate must be one of")
    assert CLOSE_BROKEN_CONTRACT == 4008


@pytest.mark.soak
def test_the_javascript_client(small_worker: Worker, browser: Browser) -> None:
    """It shows ticks, reconnects at once after 4012, waits after 4013, and ends with the reason after 4008."""
    page = browser.new_page()
    page.goto(f"http://{small_worker.host}/healthz")
    page.evaluate(f"""() => {{
        {source("javascript")}
        window.follow = (rate) => {{
            const seen = {{ ticks: [], retries: [], refused: null }};
            follow(location.host, rate, {{
                onTick: ({{ at }}) => seen.ticks.push(at),
                onRetry: (code, wait) => seen.retries.push([code, wait]),
                onRefused: (reason) => (seen.refused = reason),
            }});
            return seen;
        }};
        window.first = window.follow(100);
    }}""")
    page.wait_for_function("first.ticks.length > 20")
    page.evaluate("window.refused = window.follow(7)")
    page.wait_for_function("refused.refused?.startsWith('rate must be one of')")
    assert page.evaluate("refused.retries.length") == 0
    page.evaluate("window.second = window.follow(100)")
    page.wait_for_function("second.retries.length")
    code, wait = page.evaluate("second.retries[0]")
    assert code == CLOSE_FULL
    assert 5_000 <= wait <= 10_000
    small_worker.stop()
    page.wait_for_function("first.retries.length")
    code, wait = page.evaluate("first.retries[0]")
    assert code == CLOSE_GOING_AWAY
    assert wait <= 250
    small_worker.start()
    page.evaluate("window.seen = first.ticks.length + second.ticks.length")
    # There is room for one of them: the first one, unless the worker took so long that the second one retried.
    page.wait_for_function("first.ticks.length + second.ticks.length > seen + 20")
    page.close()
