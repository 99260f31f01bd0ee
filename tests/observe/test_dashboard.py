"""The dashboard for Grafana: its queries return data in a real Prometheus. Grafana itself is not run."""

import json
from typing import Any, Final

import pytest

from testbed.processes import ROOT, wait_until
from tests.observe.conftest import Clock
from tests.observe.prometheus import Prometheus

DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy" / "grafana" / "clock.json").read_text())
PANELS: Final[list[dict[str, Any]]] = DASHBOARD["panels"]
QUERIES: Final = [target["expr"] for panel in PANELS for target in panel["targets"]]
(FAILOVERS,) = (annotation["expr"] for annotation in DASHBOARD["annotations"]["list"])

# The width of Grafana's grid.
COLUMNS: Final = 24


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_returns_data(prometheus: Prometheus, query: str) -> None:
    """Numbers, in a clock that is well."""

    def has_data() -> bool:
        return any(sample["value"][1] != "NaN" for sample in prometheus.query(query))

    wait_until(has_data, f"there is data for {query}")


def test_failovers_are_marked(clock: Clock, prometheus: Prometheus) -> None:
    """When another ticker leads; what a test before has done is over."""
    wait_until(lambda: not prometheus.query(FAILOVERS), "earlier failovers are long ago", 40)
    leader = clock.leader(prometheus)
    leader.stop()
    wait_until(lambda: bool(prometheus.query(FAILOVERS)), "the failover is marked")
    leader.start()


def test_each_panel_says_what_it_shows() -> None:
    """And all use the provisioned source of data."""
    source = (ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        for one in (panel, *panel["targets"]):
            assert f"uid: {one['datasource']['uid']}\n" in source


def test_the_panels_fill_the_rows_and_do_not_overlap() -> None:
    """The first row has what must be seen at a glance."""
    cells: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells
        cells |= own
    assert {x for x, y in cells if y == 0} == set(range(COLUMNS))
    assert {panel["type"] for panel in PANELS if panel["gridPos"]["y"] == 0} == {"stat"}
