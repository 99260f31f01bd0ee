"""The metrics of `watch`."""

import io
import re
import urllib.request
from typing import Final

from clock.watch.display.exporter import Exporter
from clock.watch.display.lines import Lines
from testbed.processes import ROOT
from tests.clock.watch.examples import EVENTS, failed, summary
from tests.project.documents import text_of

SAMPLE: Final = re.compile(r"^(clock_watch_\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)


def scrape(exporter: Exporter) -> dict[str, float]:
    """Return the samples."""
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=5) as answer:
        return {name: float(value) for name, value in SAMPLE.findall(answer.read().decode())}


def test_metrics() -> None:
    """Of the newest summary, in seconds; what is unknown is absent. The other display is shown everything."""
    output = io.StringIO()
    exporter = Exporter(Lines(output), "127.0.0.1", 0)
    assert scrape(exporter) == {}
    exporter.update(summary(), EVENTS)
    found = scrape(exporter)
    assert found['clock_watch_lateness_seconds{quantile="0.99"}'] == 0.0028
    assert found["clock_watch_bound_seconds"] == 0.0012
    assert found['clock_watch_closed_total{code="4012"}'] == 3
    assert found["clock_watch_connected"] == 20
    exporter.update(failed(), [])
    unknown = scrape(exporter)
    assert not any("lateness" in name or "bound" in name for name in unknown)
    assert unknown['clock_watch_failed_total{kind="refused"}'] == 1
    exporter.end(summary(), [])
    assert output.getvalue().startswith(EVENTS[0])
    documented = set(re.findall(r"`(clock_watch_\w+)`", text_of(ROOT / "docs" / "operations.md")))
    assert documented == {name.partition("{")[0] for name in found | unknown}
