"""An upgrade from the last release, and back, with viewers: versions on both sides are mixed. Rows of the table."""

import json
from collections.abc import Iterator

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.processes import ROOT
from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from testbed.release import VERSION
from tests.compose.conftest import RecordProperty, run_stack
from tests.compose.stack import IMAGE, Stack, replacement

pytestmark = pytest.mark.timeout(300)

# Seconds for which viewers watch the mixture after each step.
MIXED_S = 5.0

MAX_BOUND_MS = 100

# Both tickers end at the same moment, so the lease may change hands twice. Pages are free-running after 1.1 s.
MAX_HANDOVER_MS = 1000


@pytest.fixture(scope="module")
def stack(image: str, old_image: str) -> Iterator[Stack]:
    """The stack with three workers and two tickers of the last release."""
    yield from run_stack(Stack(image=old_image))


def check(stack: Stack, *, tickers: str, workers: str) -> None:
    """Check which images run, and that all workers have the time, with a bound."""
    assert [one.image for one in stack.containers("ticker")] == [tickers] * 2
    found = stack.containers("web")
    assert [one.image for one in found] == [workers] * 3
    for worker in found:
        status, body = worker.get("/clock/now")
        assert status == 200
        assert json.loads(body)["bound"] < MAX_BOUND_MS


def test_the_documented_commands_are_those_of_this_test() -> None:
    """Line by line. Other rows of the table use them for one service."""
    lines = replacement(ticker=2, web=3)
    assert f"```sh\n{lines}```" in (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.fault(
    f"upgrade: tickers of {VERSION} are replaced by those of this version", "no connection ends; gap at most 1 s"
)
def test_old_workers_with_new_tickers(
    stack: Stack, crowd: Recorder, old_image: str, record_property: RecordProperty
) -> None:
    """Workers of the last release go on with tickers of this version."""
    result = during(crowd, stack.replace(IMAGE, ticker=2), after_s=MIXED_S)
    record_property("measured", str(result))
    check(stack, tickers=IMAGE, workers=old_image)
    assert not result.closes
    assert result.longest_gap_ms < MAX_HANDOVER_MS


@pytest.mark.fault(f"upgrade: then workers of {VERSION} are replaced", "only 4012; gap at most 1 s")
def test_the_workers_are_replaced(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """Viewers go from workers of the last release to those of this version."""
    result = during(crowd, stack.replace(IMAGE, web=3), after_s=MIXED_S)
    record_property("measured", str(result))
    check(stack, tickers=IMAGE, workers=IMAGE)
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.closes[CLOSE_GOING_AWAY] >= len(crowd.clients)
    assert result.longest_gap_ms < 1000


@pytest.mark.fault(
    f"the way back: tickers of this version are replaced by those of {VERSION}", "no connection ends; gap at most 1 s"
)
def test_new_workers_with_old_tickers(
    stack: Stack, crowd: Recorder, old_image: str, record_property: RecordProperty
) -> None:
    """Workers of this version go on with tickers of the last release."""
    result = during(crowd, stack.replace(old_image, ticker=2), after_s=MIXED_S)
    record_property("measured", str(result))
    check(stack, tickers=old_image, workers=IMAGE)
    assert not result.closes
    assert result.longest_gap_ms < MAX_HANDOVER_MS
    stack.watch("--for", "3s", "--rate", "10", "--min-rate", "9", "--max-bound", "100ms")
