"""Two versions side by side, while viewers watch: this one and the last release. Each row of the table is a test.

The nodes need the image of the last release, which `--load` builds from the history and puts there.
"""

import json
import time
from collections.abc import Iterator
from typing import Final

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed import release
from testbed.recording.outcome import during
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import apply, inside, leader, nodes_have, read, wait_for
from tests.kubernetes.conftest import VIEWERS, RecordProperty
from tests.kubernetes.deployment import COUNTS, Clock, overlay

pytestmark = pytest.mark.timeout(900)

# Tickers of version 1.1 have no port for probes. docs/operations.md has the same command.
CONTAINER: Final = "/spec/template/spec/containers/0"
SET_BACK: Final = json.dumps(
    [
        {"op": "remove", "path": f"{CONTAINER}/startupProbe"},
        {"op": "remove", "path": f"{CONTAINER}/livenessProbe"},
        {"op": "replace", "path": f"{CONTAINER}/image", "value": release.IMAGE},
    ]
)


BOTH: Final = ("ticker", "web")


def settle(component: str) -> None:
    """Wait until a rollout is over, and the old pods have ended."""
    inside("rollout", "status", f"deployment/{component}")
    wait_for(component, COUNTS[component])


def image_of(component: str) -> str:
    """Return the image that a component is to run."""
    found: str = read("deployment", component)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def set_back(component: str) -> None:
    """Have a component run the last release, as an operator would."""
    if component == "ticker":
        inside("patch", "deployment/ticker", "--type=json", f"--patch={SET_BACK}")
    else:
        inside("set", "image", "deployment/web", f"web={release.IMAGE}")
    settle(component)


def upgrade(component: str, image: str) -> None:
    """Have workers run this version, or have everything run it."""
    if component == "web":
        inside("set", "image", "deployment/web", f"web={image}")
    else:
        with overlay("trial") as folder:
            apply(folder)
    settle(component)


@pytest.fixture(scope="module")
def image(clock: Clock) -> Iterator[str]:
    """The image of this version. At the end everything runs it."""
    if not nodes_have(release.IMAGE):
        pytest.skip(f"the nodes do not have the image {release.IMAGE}, which `--load` builds")
    image = image_of("web")
    yield image
    upgrade("ticker", image)
    settle("web")


@pytest.fixture
def begin_with(request: pytest.FixtureRequest, image: str) -> set[str]:
    """Have these components run the last release before viewers come, and the others this version."""
    old: set[str] = request.param
    for component in BOTH:
        is_old = image_of(component) == release.IMAGE
        if component in old and not is_old:
            set_back(component)
        elif component not in old and is_old:
            upgrade(component, image)
    return old


ONLY_4012: Final = "only 4012; gap at most 1 s; `watch` finds the stream good"
NO_END: Final = "no connection ends; gap at most 0.3 s; `watch` finds the stream good"


@pytest.mark.parametrize("begin_with", [set()], indirect=True, ids=["new"])
@pytest.mark.fault(
    "only the tag of the tickers is set back: probes find no port", "no connection ends; gap at most 0.3 s"
)
def test_a_rollout_that_fails(
    begin_with: set[str], clock: Clock, crowd: Recorder, record_property: RecordProperty
) -> None:
    """The first of the new tickers does not become ready, and the other one stays."""

    def roll_out() -> None:
        inside("set", "image", "deployment/ticker", f"ticker={release.IMAGE}")
        time.sleep(15)
        assert read("deployment", "ticker")["status"]["availableReplicas"] == 1
        inside("rollout", "undo", "deployment/ticker")
        settle("ticker")

    result = during(crowd, roll_out)
    record_property("measured", str(result))
    check_tickers(result.closes, result.longest_gap_ms)


@pytest.mark.parametrize("begin_with", [set()], indirect=True, ids=["new"])
@pytest.mark.fault("workers are set back to the last release; tickers are newer", ONLY_4012)
def test_older_workers_with_newer_tickers(
    begin_with: set[str], clock: Clock, crowd: Recorder, record_property: RecordProperty
) -> None:
    """They read the ticks of a newer ticker."""
    result = during(crowd, lambda: set_back("web"))
    record_property("measured", str(result))
    check_workers(result.closes, result.longest_gap_ms)
    clock.watch()


@pytest.mark.parametrize("begin_with", [{"web"}], indirect=True, ids=["old-workers"])
@pytest.mark.fault("tickers are set back, too", NO_END)
def test_an_older_ticker_takes_over(
    begin_with: set[str], clock: Clock, crowd: Recorder, record_property: RecordProperty
) -> None:
    """From a newer one, whose term it continues."""
    result = during(crowd, lambda: set_back("ticker"))
    record_property("measured", str(result))
    check_tickers(result.closes, result.longest_gap_ms)
    clock.watch()


@pytest.mark.parametrize("begin_with", [{*BOTH}], indirect=True, ids=["old"])
@pytest.mark.fault("workers are upgraded; tickers are of the last release", ONLY_4012)
def test_newer_workers_with_older_tickers(
    begin_with: set[str], image: str, clock: Clock, crowd: Recorder, record_property: RecordProperty
) -> None:
    """They read the ticks of an older ticker."""
    result = during(crowd, lambda: upgrade("web", image))
    record_property("measured", str(result))
    check_workers(result.closes, result.longest_gap_ms)
    clock.watch()


@pytest.mark.parametrize("begin_with", [{"ticker"}], indirect=True, ids=["old-tickers"])
@pytest.mark.fault("tickers are upgraded, too (`kubectl apply -k`)", NO_END)
def test_a_newer_ticker_takes_over(
    begin_with: set[str], image: str, clock: Clock, crowd: Recorder, record_property: RecordProperty
) -> None:
    """From an older one. Their probes are back."""
    result = during(crowd, lambda: upgrade("ticker", image))
    record_property("measured", str(result))
    check_tickers(result.closes, result.longest_gap_ms)
    clock.watch()
    assert "livenessProbe" in read("deployment", "ticker")["spec"]["template"]["spec"]["containers"][0]


def check_workers(closes: dict[int | None, int], longest_gap_ms: float) -> None:
    """Each viewer was told to go elsewhere at least once, and was there at once."""
    assert set(closes) == {CLOSE_GOING_AWAY}
    assert closes[CLOSE_GOING_AWAY] >= VIEWERS
    assert longest_gap_ms < 1000


def check_tickers(closes: dict[int | None, int], longest_gap_ms: float) -> None:
    """Nobody noticed. There is a leader."""
    assert not closes
    assert longest_gap_ms < 300
    leader()
