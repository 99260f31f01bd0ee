"""The clock in the cluster, which all tests share, and viewers."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from testbed.processes import wait_until
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import inside, logs, wait_for
from tests.kubernetes.deployment import COUNTS, Clock, deployed

RecordProperty = Callable[[str, object], None]

VIEWERS: Final = 90


@pytest.fixture(scope="session")
def clock() -> Iterator[Clock]:
    """The clock, by the overlay `trial`."""
    with deployed("trial") as clock, clock.balancer:
        wait_until(lambda: clock.get("/clock/now")[0] == 200, "/clock/now answers with the time", 60)
        yield clock


@pytest.fixture
def crowd(clock: Clock) -> Iterator[Recorder]:
    """Viewers that reconnect as the page does. At the end no log of a pod that still runs has a traceback.

    They find three workers, two tickers and one Redis, also if the test before has failed.
    """
    inside("scale", "deployment/web", f"--replicas={COUNTS['web']}")
    for component, count in COUNTS.items():
        wait_for(component, count)
    with Recorder(addresses=clock.balancer.addresses) as recorder:
        recorder.add(VIEWERS, [clock.port], reconnects=True)
        recorder.run(2)
        yield recorder
    found = logs()
    assert "Traceback" not in found, found
