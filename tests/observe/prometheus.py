"""A real Prometheus with the shipped rules, on short windows, so that an alert fires within seconds."""

import json
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from testbed.processes import ROOT, Program, free_port, wait_until

RULES: Final = ROOT / "deploy" / "prometheus" / "clock.rules.yml"
JOBS: Final = ("clock-ticker", "clock-worker", "clock-watch")

# The windows of the shipped rules, and those of the test.
WINDOWS: Final = {"[15s]": "[5s]", "[1m]": "[6s]", "[10m]": "[10s]"}

# The limits on time of the shipped rules, and those of the test: other tests keep this machine busy, and what breaks is
# far above both.
LIMITS: Final = {
    "clock:ticker_lateness:p99 > 0.01": "clock:ticker_lateness:p99 > 0.06",
    "clock:worker_lateness:p99 > 0.05": "clock:worker_lateness:p99 > 0.1",
    "clock:ticks_skipped:rate1m > 1": "clock:ticks_skipped:rate1m > 6",
    '{quantile="0.99"} > 0.1': '{quantile="0.99"} > 0.25',
    "clock_watch_bound_seconds > 0.05": "clock_watch_bound_seconds > 0.15",
}

CONFIGURATION: Final = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}}
rule_files: [rules.yml]
scrape_configs:
{jobs}
"""
JOB: Final = "  - {{job_name: {name}, file_sd_configs: [{{files: [{name}.json], refresh_interval: 1s}}]}}"

# Seconds within which an alert must fire, and be resolved.
DEADLINE_S: Final = 45.0


def adapted(rules: str) -> str:
    """Return the rules with the windows and limits of the test, each with a `for` of one second."""
    for shipped, adapted in {**WINDOWS, **LIMITS}.items():
        assert shipped in rules, f"no rule has {shipped}"
        rules = rules.replace(shipped, adapted)
    return re.sub(r"for: \w+", "for: 1s", rules)


class Prometheus(Program):
    """The server. `scraping` says what each job scrapes."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        (directory / "rules.yml").write_text(adapted(RULES.read_text()))
        jobs = "\n".join(JOB.format(name=name) for name in JOBS)
        (directory / "prometheus.yml").write_text(CONFIGURATION.format(jobs=jobs))
        for job in JOBS:
            self._scrape(job, "[]")
        command = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
        super().__init__("prometheus", [*command, f"--web.listen-address=127.0.0.1:{self.port}"], directory)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        super().start()
        wait_until(self._is_ready, "Prometheus is ready", DEADLINE_S)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as response:
                return bool(response.status == HTTPStatus.OK)
        except OSError:
            return False

    @contextmanager
    def scraping(self, job: str, ports: list[int]) -> Iterator[None]:
        """Have a job scrape these ports of this machine, and at the end the ports as before."""
        before = (self._directory / f"{job}.json").read_text()
        self._scrape(job, json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]))
        try:
            yield
        finally:
            self._scrape(job, before)

    def _scrape(self, job: str, targets: str) -> None:
        path = self._directory / f"{job}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(targets)
        temporary.rename(path)

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the present samples of an expression. Raises: `HTTPError`, if it is invalid."""
        samples: list[Any] = self._get("query", query=expression)["result"]
        return samples

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self._get("alerts")["alerts"] if one["state"] == "firing"}

    def have_fired(self) -> set[str]:
        """Return the names of the alerts that have fired since it started."""
        fired = self.query('count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1h]))')
        return {one["metric"]["alertname"] for one in fired}

    def wait_for(self, *names: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until these alerts fire at the same time. `meanwhile` is called again and again.

        Raises: `TooSlow`.
        """

        def all_fire() -> bool:
            meanwhile()
            return self.firing() >= {*names}

        wait_until(all_fire, f"{', '.join(names)} fire", DEADLINE_S)

    def wait_for_peace(self) -> None:
        """Wait until no alert fires but the watchdog. Raises: `TooSlow`."""
        quiet = {"ClockWatchdog"}
        try:
            wait_until(lambda: self.firing() == quiet, "all alerts are resolved", DEADLINE_S)
        except AssertionError:
            print(f"firing: {sorted(self.firing())}", file=sys.stderr)
            raise
