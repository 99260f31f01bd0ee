"""The balancer: what it lets through, and which worker a viewer gets."""

import socket
import time
from itertools import pairwise

import pytest
from playwright.sync_api import sync_playwright

from testbed.browser import CHROMIUM_ARGUMENTS, find_chromium
from testbed.processes import wait_until
from testbed.viewers import Viewer, close, connect, watch
from tests.compose.stack import Stack, docker

pytestmark = pytest.mark.timeout(300)

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


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
def test_metrics_are_blocked(stack: Stack, more: str) -> None:
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


def test_the_page_and_its_files_are_served(stack: Stack) -> None:
    """HTML, script, style sheet, and the redirect from the root to the clock."""
    for path in ("/", "/clock/", "/static/clock/clock.js", "/static/clock/clock.css", "/healthz"):
        assert stack.get(path)[0] == 200


def settled(stack: Stack) -> list[int]:
    """Return the number of viewers of each worker, after the load balancer's own checks."""
    time.sleep(1)
    return list(stack.viewers().values())


def test_viewers_are_spread_over_all_replicas(stack: Stack) -> None:
    """The load balancer spreads them evenly, and each of them gets ticks in order."""
    viewers = crowd(stack, 30)
    spread = settled(stack)
    watch(viewers, 3)
    assert len(spread) == 3
    assert min(spread) >= 5, spread
    for viewer in viewers:
        assert len(viewer.times) > 100
        assert all(before < after for before, after in pairwise(viewer.times))
    close(viewers)


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


def test_a_killed_replica_disconnects_only_its_own_viewers(stack: Stack) -> None:
    """Of a page and thirty viewers, only those of the killed replica are disconnected. The page is soon live again."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*CHROMIUM_ARGUMENTS])
        page = browser.new_page()
        wait_until(lambda: not any(stack.viewers().values()), "earlier viewers are disconnected", 10)
        page.goto(f"http://localhost:{stack.port}/clock/")
        page.wait_for_selector('#clock[data-state="live"]')
        (victim,) = (replica for replica, count in stack.viewers().items() if count)
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
    stack.scale(3)  # what `docker kill` has ended is started again only now


def is_lost(viewer: Viewer) -> bool:
    """Read what has arrived, and return whether the connection has ended."""
    try:
        while True:
            viewer.read()
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
