"""The clock in the cluster, which all tests share, and viewers.

Each test finds three workers, two tickers and one Redis, and leaves them.
"""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from testbed.processes import wait_until
from testbed.recording.recorder import Recorder
from tests.kubernetes.cluster import inside
from tests.kubernetes.deployment import Clock, deployed

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
    """Viewers that reconnect as the page does. At the end no log of a pod that still runs has a traceback."""
    with Recorder(addresses=clock.balancer.addresses) as recorder:
        recorder.add(VIEWERS, [clock.port], reconnects=True)
        recorder.run(2)
        yield recorder
    log = inside("logs", "--selector", "app.kubernetes.io/name=clock", "--prefix", "--tail=-1")
    assert "Traceback" not in log, log
