"""A trial measures what really happens: here, to the floor with a real ticker."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.subjects.catalogue import SUBJECTS
from bench.subjects.subject import Environment
from bench.trial import trial as trial_module
from bench.trial.trial import Trial
from testbed.accounting import cpu_ns, private_bytes, process_tree
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.published import Published
from testbed.stalled import Stalled
from testbed.viewers import connect

FLOOR = next(subject for subject in SUBJECTS if subject.name == "floor")


@pytest.fixture(scope="module")
def environment(broker: Broker, ticker: Ticker, directory: Path) -> Environment:
    """The shared broker, with ticks."""
    ticker.wait_for_output("publishing the time")
    return Environment(broker, directory, None)


@pytest.fixture
def floor(environment: Environment) -> Iterator[tuple[Program, int]]:
    """The floor, running, and its port."""
    deployment = FLOOR.deploy(environment)
    (program,) = deployment.measured
    with program:
        yield program, deployment.port


def test_a_trial_measures_cpu_memory_and_delivery(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the ticks that were published while it measured."""
    monkeypatch.setattr(trial_module, "SETTLE_S", 0.2)
    published = Published(environment.broker.port)
    with Trial(FLOOR, environment, published, repetition=2, seconds=0.5) as trial:
        one = trial.run("1")
    published.close()
    assert (one.subject, one.scenario, one.repetition, one.expected_clients) == ("floor", "1", 2, 1)
    assert one.window.frames > 10
    assert 0 < one.worst_share <= 1
    assert 0 < one.cpu_us_per_frame < 100_000
    assert one.memory_bytes > 1 << 20
    assert one.invalid == one.errors == ""


def test_cpu_time_and_memory_of_a_process(floor: tuple[Program, int]) -> None:
    """CPU time grows with work; the floor has no child processes."""
    program, port = floor
    pids = process_tree(program.pid)
    assert pids == [program.pid]
    before_ns = cpu_ns(pids)
    assert before_ns > 0
    viewer = connect(port, "/")
    wait_until(lambda: cpu_ns(pids) > before_ns, "it uses the CPU")
    viewer.socket.close()
    assert private_bytes(pids) > 1 << 20


def test_a_stalled_viewer_counts_as_closed_when_the_server_has_closed_it(floor: tuple[Program, int]) -> None:
    """Not before; the floor never does it by itself."""
    program, port = floor
    stalled = Stalled(3, port, "/")
    time.sleep(0.1)
    assert not stalled.check()
    program.kill()
    wait_until(stalled.check, "all are closed")
    assert len(stalled.closed_after_s) == 3
    assert min(stalled.closed_after_s) >= 0.1
    stalled.close()
