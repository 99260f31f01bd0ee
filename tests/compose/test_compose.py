"""The Compose stack, built and run: `make compose-test`. It needs Docker, and a registry that has the images."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

from clock.contract import CLOSE_FULL
from testbed.browser import CHROMIUM_ARGUMENTS, find_chromium
from testbed.processes import ROOT, free_port, wait_until
from testbed.viewers import Viewer, close, connect, watch
from ticker.host_clock import ask_kernel

pytestmark = pytest.mark.timeout(900)

# Prints the number of connections to a replica's port (proc(5): state 01 is established; 1F41 is port 8001).
COUNT = """
count = 0
for name in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{name}").readlines()[1:]:
        local, _, state = line.split()[1:4]
        count += local.endswith(":1F41") and state == "01"
print(count)
"""

# Prints the metrics of a replica, requested at its own address.
SCRAPE = """
import socket, urllib.request
address = socket.gethostbyname(socket.gethostname())
print(urllib.request.urlopen(f"http://{address}:9100/metrics", timeout=5).read().decode())
"""

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Stack:
    """The project under Compose, on a free port."""

    def __init__(self) -> None:
        new = (
            shutil.which("docker")
            and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        )
        program = ["docker", "compose"] if new else ["docker-compose"]
        self.port = free_port()
        self._program = [*program, "--project-name", f"clocktest{self.port}"]
        self.settings = {
            **os.environ,
            "CLOCK_PORT": str(self.port),
            "CLOCK_TIME_ZONE": "Asia/Kathmandu",
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
        }

    def compose(self, *arguments: str) -> str:
        """Run a Compose command and return its output."""
        done = subprocess.run(
            [*self._program, *arguments], cwd=ROOT, env=self.settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def scale(self, replicas: int) -> None:
        """Start it with so many web replicas, and wait until it has the time."""
        self.compose("up", "--detach", "--no-build", "--scale", f"web={replicas}")
        wait_until(lambda: self.get("/clock/now")[0] == 200, "/clock/now answers with the time", 60)

    def containers(self, service: str) -> list[str]:
        """Return the running containers of a service."""
        found = self.compose("ps", "--quiet", service).split()
        return [one for one in found if docker("inspect", "--format", "{{.State.Running}}", one) == "true"]

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and body of a page, through the load balancer. The status is 0 if there is no answer."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except OSError as error:
            return getattr(error, "code", 0), ""

    def viewers(self) -> dict[str, int]:
        """Return the number of connections of each replica."""
        return {one: int(docker("exec", one, "python", "-c", COUNT)) for one in self.containers("web")}


def docker(*arguments: str) -> str:
    """Run a Docker command and return its output."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack with three replicas. Its logs are shown if a test fails."""
    stack = Stack()
    stack.compose("build")
    try:
        stack.scale(3)
        yield stack
    finally:
        print(stack.compose("logs", "--no-color"))
        stack.compose("down", "--timeout", "10", "--volumes")


def crowd(stack: Stack, count: int) -> list[Viewer]:
    """Connect so many viewers through the load balancer."""
    return [connect(stack.port) for _ in range(count)]


def status_of(stack: Stack, target: str, more: str = "") -> int:
    """Request a target from the load balancer exactly as given, valid or not; return the status of the answer."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=5) as client:
        host = f"localhost:{stack.port}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{more}\r\n".encode())
        return int(client.recv(65_536).split()[1])


@pytest.mark.parametrize(
    "more", ["", "Daphne-Root-Path: /x\r\n", "daphne-root-path: /%78\r\n", "Daphne-Root-Path: /\r\n"]
)
def test_metrics_are_blocked_at_the_load_balancer(stack: Stack, more: str) -> None:
    """No spelling of the path reaches them."""
    names = [
        "/metrics",
        "/%6detrics",
        "/%6Detrics",
        "/x/metrics",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/metrics/",
    ]
    names += ["/metrics?x", "/metrics;x", "/x%2fmetrics", "/%78/metrics", "//x/metrics"]
    names += [f"http://localhost:{stack.port}{name}" for name in ("/metrics", "/%6detrics", "/x/metrics")]
    assert {name: status_of(stack, name, more) for name in names} == dict.fromkeys(names, 404)
    other_host = status_of(stack, "http://localhost:9100/metrics", more)
    assert other_host in {400, 404}  # some versions of HAProxy refuse a target that is not the Host


def test_each_replica_serves_its_metrics_within_the_network(stack: Stack) -> None:
    """It serves them at its own address. The port is not published."""
    for replica in stack.containers("web"):
        assert "clock_ready 1.0" in docker("exec", replica, "python", "-c", SCRAPE)
        assert docker("port", replica) == ""


def test_no_other_path_leads_to_the_stream(stack: Stack) -> None:
    """A WebSocket handshake on any other spelling of the path gets 403."""
    assert status_of(stack, "/ws/clock/", UPGRADE) == 101
    aliases = [
        "/ws%2fclock/",
        "/%77s/clock/",
        "/ws/clock%2f",
        "//any/ws/clock/",
        "//ws/clock/",
        "/./ws/clock/",
        "/x/ws/clock/",
    ]
    assert {alias: status_of(stack, alias, UPGRADE + "Daphne-Root-Path: /x\r\n") for alias in aliases} == dict.fromkeys(
        aliases, 403
    )


def test_viewers_are_spread_over_all_replicas(stack: Stack) -> None:
    """The load balancer spreads them evenly, and each of them gets ticks in order."""
    wait_until(lambda: len([one for one in settled(stack) if one >= 0]) == 3, "three replicas")
    viewers = crowd(stack, 30)
    spread = settled(stack)
    watch(viewers, 3)
    assert len(spread) == 3
    assert min(spread) >= 5, spread
    for viewer in viewers:
        assert len(viewer.times) > 100
        assert all(before < after for before, after in pairwise(viewer.times))
    close(viewers)


def settled(stack: Stack) -> list[int]:
    """Return the number of connections of each replica, after the load balancer's own checks."""
    time.sleep(1)
    return list(stack.viewers().values())


def test_settings_reach_the_containers(stack: Stack) -> None:
    """The ticker and the page use the time zone that was given to Compose."""
    status, body = stack.get("/clock/now")
    assert status == 200
    assert json.loads(body)["message"][14:16] != time.strftime("%M", time.gmtime(json.loads(body)["at"] / 1000))
    assert "Asia/Kathmandu" in stack.get("/clock/")[1]


def test_a_container_may_read_the_state_of_the_host_clock(stack: Stack) -> None:
    """`/clock/now` says whether the kernel's clock is synchronised, as this machine's kernel does."""
    assert json.loads(stack.get("/clock/now")[1])["synchronised"] is ask_kernel()


def test_two_tickers_run(stack: Stack) -> None:
    """One is the leader, the other a standby."""
    assert len(stack.containers("ticker")) == 2


def test_without_redis_pages_are_served_and_streams_wait(stack: Stack) -> None:
    """The page itself shows what is wrong. Viewers connect to a live replica, and receive ticks when Redis is back."""
    stack.compose("stop", "redis")
    try:
        wait_until(lambda: stack.get("/readyz")[0] == 503, "no replica is ready", 10)
        time.sleep(3)  # the load balancer notices
        for path in ("/clock/", "/static/clock/clock.js", "/healthz"):
            assert stack.get(path)[0] == 200
        viewers = crowd(stack, 3)
        watch(viewers, 1)
        assert not any(viewer.times for viewer in viewers)
    finally:
        stack.compose("start", "redis")

    def all_have_ticks() -> bool:
        watch(viewers, 0.5)
        return all(viewer.times for viewer in viewers)

    wait_until(all_have_ticks, "ticks flow again", 10)
    close(viewers)


def test_the_page_and_its_files_are_served(stack: Stack) -> None:
    """HTML, script, style sheet, and the redirect from the root to the clock."""
    for path in ("/", "/clock/", "/static/clock/clock.js", "/static/clock/clock.css", "/healthz"):
        assert stack.get(path)[0] == 200


def test_containers_have_no_privileges(stack: Stack) -> None:
    """They do not run as root, cannot write to their file system, and have no capabilities."""
    for service in ("redis", "ticker", "web", "lb"):
        (container, *_) = stack.containers(service)
        uid, can_write = docker(
            "exec", container, "sh", "-c", "id -u; touch /x 2>/dev/null && echo yes || echo no"
        ).split()
        assert can_write == "no", service
        assert (
            uid != "0" or service == "lb"
        )  # the official HAProxy image has a user of its own; a stand-in for it may not
        capabilities = docker("exec", container, "sh", "-c", "grep CapEff /proc/self/status").split()[1]
        assert int(capabilities, 16) == 0, service


def test_a_killed_replica_disconnects_only_its_own_viewers(stack: Stack) -> None:
    """Of a page and thirty viewers, only those of the killed replica are disconnected. The page is soon live again."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*CHROMIUM_ARGUMENTS])
        page = browser.new_page()
        # The load balancer keeps no idle connection to a replica: these are viewers, or one of its checks.
        wait_until(lambda: not any(stack.viewers().values()), "earlier connections are closed", 10)
        page.goto(f"http://localhost:{stack.port}/clock/")
        page.wait_for_selector('#clock[data-state="live"]')
        while sum((counts := stack.viewers()).values()) != 1:  # only the page's stream; the test's timeout ends this
            pass
        (victim,) = (replica for replica, count in counts.items() if count)
        viewers = crowd(stack, 30)
        watch(viewers, 1)
        with page.expect_websocket(timeout=20_000) as reconnected:
            docker("kill", victim)
        reconnected.value.wait_for_event("framereceived")
        page.wait_for_selector('#clock[data-state="live"]')
        lost = [viewer for viewer in viewers if is_lost(viewer)]
        assert 5 <= len(lost) <= 20
        staying = [viewer for viewer in viewers if viewer not in lost]
        frames = sum(len(viewer.times) for viewer in staying)
        watch(staying, 1)
        assert sum(len(viewer.times) for viewer in staying) > frames + 50 * len(staying)
        browser.close()
    back = crowd(stack, len(lost))
    watch(back, 1)
    assert all(viewer.times for viewer in back)
    close(viewers + back)


def is_lost(viewer: Viewer) -> bool:
    """Read what has arrived, and return whether the connection has ended."""
    try:
        while True:
            viewer.read()
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_new_replicas_are_found_without_a_restart(stack: Stack) -> None:
    """After scaling to five, the same load balancer sends viewers to all five. No request fails meanwhile."""
    balancer = stack.containers("lb")
    answers = set()
    with ThreadPoolExecutor() as pool:
        scaling = pool.submit(stack.scale, 5)
        while not scaling.done():  # no request goes to a replica that does not listen yet
            answers.add(stack.get("/healthz")[0])
        scaling.result()
    assert answers == {200}
    assert stack.containers("lb") == balancer

    def all_have_viewers() -> bool:
        viewers = crowd(stack, 10)
        try:
            counts = settled(stack)
            return len(counts) == 5 and min(counts) >= 1
        finally:
            close(viewers)

    wait_until(all_have_viewers, "viewers on all five", 60)


def test_a_full_replica_gets_no_new_viewers(stack: Stack) -> None:
    """The load balancer sends them to the other one. If both are full, a viewer can read that the worker is full."""
    stack.settings["CLOCK_MAX_VIEWERS"] = "20"
    stack.scale(2)
    wait_until(lambda: len([one for one in settled(stack) if one >= 0]) == 2, "two replicas", 60)
    full, other = stack.containers("web")
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", full)
    viewers = [connect(8001, address=address) for _ in range(20)]
    watch(viewers, 3)
    before = stack.viewers()[full]
    viewers += crowd(stack, 15)
    watch(viewers, 1)
    assert all(viewer.times for viewer in viewers), "none was refused"
    assert stack.viewers()[full] <= before
    assert stack.viewers()[other] >= 15
    viewers += crowd(stack, 5)
    watch(viewers, 3)
    origin: Any = f"http://localhost:{stack.port}"
    url = f"ws://localhost:{stack.port}/ws/clock/"
    with connect_websocket(url, origin=origin) as refused, pytest.raises(ConnectionClosed) as closed:
        refused.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (CLOSE_FULL, "this worker is full")
    close(viewers)


def test_all_containers_stop_cleanly(stack: Stack) -> None:
    """On `stop`, tickers and workers exit with 0. None has printed a traceback."""
    ours = stack.containers("ticker") + stack.containers("web")
    stack.compose("stop")
    assert {docker("inspect", "--format", "{{.State.ExitCode}}", one) for one in ours} == {"0"}
    assert "Traceback" not in stack.compose("logs", "--no-color")
