"""Two Services behind one address: HAProxy tells streams from pages. It changes the way in, and so comes last."""

import pytest

from testbed.processes import wait_until
from tests.kubernetes import cluster
from tests.kubernetes.cluster import apply, inside, read, wait_for
from tests.kubernetes.conftest import RecordProperty
from tests.kubernetes.deployment import Clock, overlay

pytestmark = pytest.mark.timeout(600)


def has_no_ready_worker() -> bool:
    """Return whether no worker is ready."""
    return not read("deployment", "web")["status"].get("availableReplicas", 0)


@pytest.mark.fault("without Redis, behind HAProxy (overlay `haproxy`)", "pages open, and say that no time arrives")
def test_pages_without_redis(clock: Clock, record_property: RecordProperty) -> None:
    """HAProxy sends streams to workers that are ready and pages to those that are alive."""
    with overlay("haproxy") as folder:
        apply(folder)
    wait_for("haproxy", 2)
    wait_until(lambda: clock.get("/clock/now")[0] == 200, "HAProxy has the way in", 10)
    assert clock.watch()["ok"] is True
    try:
        inside("scale", "deployment/redis", "--replicas=0")
        cluster.wait_until(has_no_ready_worker, "no worker is ready", 60)
        statuses = {path: clock.get(path)[0] for path in ("/clock/", "/healthz", "/readyz")}
    finally:
        inside("scale", "deployment/redis", "--replicas=1")
        wait_for("web", 3)
    record_property("measured", ", ".join(f"`{path}` {status}" for path, status in statuses.items()))
    assert statuses == {"/clock/": 200, "/healthz": 200, "/readyz": 503}
    wait_until(lambda: clock.get("/clock/now")[0] == 200, "the time is back", 10)
