"""What the benchmark runs on, for its tests: the shared broker and ticker, and a gate."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.subjects.gate import GateControl
from bench.subjects.subject import Environment
from bench.trial.side import Stage
from testbed.processes import Broker, Program, Ticker
from testbed.subscriber import Published


@pytest.fixture(scope="module")
def stage(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Stage]:
    """The shared broker, with ticks behind a gate. Probes follow one another quickly."""
    ticker.wait_until_leader()
    with Program("gate", [sys.executable, "-m", "bench.subjects.gate", str(broker.port)], directory) as gate:
        gate.wait_for_output("open")
        control, published = GateControl(broker.port), Published(broker.port)
        yield Stage(Environment(broker, directory, None), control, published, probe_interval_s=0.2)
        control.close()
        published.close()
