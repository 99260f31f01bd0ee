"""What 300 viewers behind the balancer notice when parts of the stack are replaced, or fail: rows of a table."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from clock.contract import CLOSE_GOING_AWAY
from testbed.processes import wait_until
from testbed.recording.outcome import during
from testbed.recording.record import Visit
from testbed.recording.recorder import Recorder
from testbed.viewers import close, connect
from tests.compose.conftest import FAST, FAST_RATE, SLOW_RATE, RecordProperty
from tests.compose.stack import Container, Stack, docker

pytestmark = pytest.mark.timeout(300)

VIEWERS = 300

# Of the limits of memory and processes, at most.
MAX_SHARE = 0.5


def rate_of(visit: Visit, since_ns: int) -> float:
    """Return the frames per second of a connection from a moment on."""
    times = [frame.at for frame in visit.frames if frame.arrived_ns >= since_ns]
    return (len(times) - 1) * 1000 / (times[-1] - times[0])


@pytest.mark.fault("nothing, for 10 s", "95 % of the frames of each viewer; gap at most 0.5 s")
def test_viewers_receive_their_frames(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """All of them in order, and no connection ends."""
    begin_ns = time.monotonic_ns()
    result = during(crowd, after_s=10)
    shares = [
        rate_of(client.visits[-1], begin_ns) / (FAST_RATE if number < FAST else SLOW_RATE)
        for number, client in enumerate(crowd.clients)
    ]
    record_property("measured", f"{100 * min(shares):.1f} % of the frames; {result}")
    assert len(shares) == VIEWERS
    for client in crowd.clients:
        (visit,) = client.visits
        assert all(before.at < after.at for before, after in pairwise(visit.frames))
    assert min(shares) > 0.95
    assert not result.closes
    assert result.longest_gap_ms < 500


def test_watch_finds_the_stream_good(stack: Stack) -> None:
    """In a worker's container, through the balancer, as an operator may check it after a change."""
    report = stack.watch(
        "--for", "5s", "--rate", "10", "--min-rate", "9.5", "--max-gap", "500ms", "--max-bound", "50ms"
    )
    assert report["ok"]
    assert report["connections"]["reconnects"] == 0


def test_no_container_is_near_its_limits(stack: Stack, crowd: Recorder) -> None:
    """With 300 viewers each of them has at least half of its memory and its processes left."""
    found = stack.containers()
    limits = {
        one["Id"]: one["HostConfig"]["PidsLimit"] for one in json.loads(docker("inspect", *(one.id for one in found)))
    }
    lines = docker("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemPerc}} {{.PIDs}}", *limits)
    used = {name: (float(share.rstrip("%")), int(count)) for name, share, count in map(str.split, lines.splitlines())}
    assert used.keys() == limits.keys()
    for name, (share, count) in used.items():
        assert 0 < share < 100 * MAX_SHARE, used
        assert 0 < count < limits[name] * MAX_SHARE, used


@pytest.mark.fault("all tickers and workers are replaced by a new image", "only 4012; gap at most 1 s")
def test_all_are_replaced(stack: Stack, crowd: Recorder, next_image: str, record_property: RecordProperty) -> None:
    """With the commands of the documentation. Each viewer is on another worker at once."""
    before = {one.id for one in stack.containers("ticker", "web")}
    result = during(crowd, stack.replace(next_image, ticker=2, web=3))
    record_property("measured", str(result))
    found = stack.containers("ticker", "web")
    assert {one.image for one in found} == {next_image}
    assert len(found) == 5
    assert not before & {one.id for one in found}
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.closes[CLOSE_GOING_AWAY] >= VIEWERS
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("3 workers become 5, then 2", "only 4012; gap at most 1 s; no request fails")
def test_scaling(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """The balancer finds new workers without a restart. Viewers stay where they are until their worker ends."""
    balancer = stack.containers("lb")
    answers: Counter[int] = Counter()
    spread: list[int] = []

    def scale(replicas: int) -> None:
        """Change the number of workers, and request a page again and again meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            scaling = pool.submit(stack.scale, replicas)
            while not scaling.done():
                answers[stack.get("/healthz")[0]] += 1
                time.sleep(0.1)
            scaling.result()

    def come() -> None:
        """Connect newcomers: a new worker gets them until it has as many viewers as the others."""
        newcomers = [connect(stack.port, "/ws/clock/?rate=1") for _ in range(20)]
        spread.extend(stack.viewers().values())
        close(newcomers)

    result = during(crowd, lambda: scale(5), come, lambda: scale(2))
    record_property("measured", f"{result}; {answers.total()} requests")
    assert answers.keys() == {200}
    assert stack.containers("lb") == balancer
    assert len(spread) == 5
    assert min(spread) >= 5, spread
    assert set(result.closes) == {CLOSE_GOING_AWAY}
    assert result.closes[CLOSE_GOING_AWAY] >= VIEWERS / 4
    assert result.longest_gap_ms < 1000


@pytest.mark.fault("the leading ticker is stopped and replaced", "no connection ends; gap at most 0.5 s")
def test_the_leading_ticker_is_replaced(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """It releases the lease, and the standby takes over."""
    leader = stack.leader()
    result = during(
        crowd,
        lambda: docker("stop", leader.id),
        lambda: docker("rm", leader.id),
        lambda: stack.compose("up", "--detach", "--no-recreate", "ticker"),
    )
    record_property("measured", str(result))
    assert len(stack.containers("ticker")) == 2
    assert stack.leader().id != leader.id
    assert not result.closes
    assert result.longest_gap_ms < 500


def was_restarted(stack: Stack, victim: Container) -> bool:
    """Return whether Docker has restarted a container, and it runs."""
    return any(one.id == victim.id and one.restarts for one in stack.containers())


@pytest.mark.fault("the leading ticker's process gets SIGKILL", "no connection ends; gap at most 2 s; it is restarted")
def test_the_leading_ticker_is_killed(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """The standby takes over when the lease has expired, and Docker restarts the container."""
    leader = stack.leader()
    stack.excused.add(leader.id)
    result = during(
        crowd, leader.kill_process, lambda: wait_until(lambda: was_restarted(stack, leader), "it is restarted")
    )
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 2000


@pytest.mark.fault("a worker's process gets SIGKILL", "its viewers are back within 5 s; it is restarted")
def test_a_worker_is_killed(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """The viewers of the others keep their connections."""
    victim = stack.containers("web")[0]
    stack.excused.add(victim.id)
    viewers = stack.viewers()[victim.id]
    result = during(
        crowd, victim.kill_process, lambda: wait_until(lambda: was_restarted(stack, victim), "it is restarted")
    )
    record_property("measured", f"{viewers} viewers; {result}")
    assert dict(result.closes) == {None: viewers}
    assert result.longest_gap_ms < 5000


@pytest.mark.fault("Redis is restarted", "no connection ends; gap at most 5 s")
def test_redis_is_restarted(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """Workers are not ready meanwhile, and keep their viewers."""
    result = during(crowd, lambda: stack.compose("restart", "redis"))
    record_property("measured", str(result))
    assert not result.closes
    assert result.longest_gap_ms < 5000


@pytest.mark.fault("the balancer is restarted", "all viewers are back within 10 s")
def test_the_balancer_is_restarted(stack: Stack, crowd: Recorder, record_property: RecordProperty) -> None:
    """It cannot say why it ends, so viewers come back with a delay of their own."""
    result = during(crowd, lambda: stack.compose("restart", "lb"))
    record_property("measured", str(result))
    assert result.closes[None] >= VIEWERS
    assert result.longest_gap_ms < 10_000
