"""A side measures what really happens: here, to the floor and to a worker, with a real ticker and a real gate."""

import time
from collections.abc import Iterator

import pytest

from bench.scenarios import steady as steady_module
from bench.scenarios.steady import AUTO, Crowd, steady
from bench.subjects.catalogue import SUBJECTS
from bench.trial import figures
from bench.trial.side import Side, Stage, name_of
from testbed.accounting import cpu_ns, private_bytes, process_tree
from testbed.processes import Program, wait_until
from testbed.stalled import Stalled
from testbed.viewers import connect

pytestmark = pytest.mark.bench


@pytest.fixture
def floor(stage: Stage) -> Iterator[tuple[Program, int]]:
    """The floor, running, and its port."""
    deployment = SUBJECTS["floor"].deploy(stage.environment)
    (program,) = deployment.measured
    with program:
        yield program, deployment.port


def test_a_worker_and_the_floor_take_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are measured; the floor's viewers get the rate that the worker chose for its pages, which send probes."""
    monkeypatch.setattr(steady_module, "SETTLE_S", 0.3)
    with steady(stage, [Crowd("worker", 5, AUTO, pages=True), Crowd("floor", 5)]) as take_turn:
        turns = [take_turn(), take_turn()]
    for turn in turns:
        for one in turn.values():
            assert (one.errors, one.viewers, one.lost) == ("", 5, 0)
            assert one.window.frames > 5 * 20
            assert one.memory_bytes > 1 << 20
            assert one.published_ticks > 20
            assert 0 < figures.cpu_us_of(one) < 100_000
        assert turn["worker"].window.probes.answered > 5
        assert turn["floor"].window.probes.sent == 0
    assert 0 < figures.worst_percent(turns, "worker") <= 100
    assert figures.cpu_ratio(turns, "worker", "floor") > 0
    assert figures.probe_ms(turns, "worker", 99) > 0
    assert [one.connect is not None for one in figures.samples(turns, "worker")] == [True, False]


def test_a_side_whose_turn_it_is_not_receives_nothing(stage: Stage) -> None:
    """Its viewers stay connected."""
    with Side(SUBJECTS["floor"], stage) as side:
        side.connect(2)
        stage.gate.open_for([])
        stage.wait(0.2)
        side.begin(0.3)
        stage.wait(0.3)
        side.stop()
        one = side.collect()
    assert (one.window.clients, one.window.frames, one.errors) == (2, 0, "")
    assert one.window.classes["viewers"].largest_gap_ms > 250


def test_cpu_time_and_memory_of_a_process(floor: tuple[Program, int]) -> None:
    """CPU time grows with work; the floor has no child processes."""
    program, port = floor
    assert name_of(program) == "floor"
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
