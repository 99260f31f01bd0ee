"""A worker that is full. These tests change a setting of the shared stack, and no other module uses it after them."""

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

from clock.contract import CLOSE_FULL
from testbed.viewers import close, connect, watch
from tests.compose.stack import Stack

pytestmark = pytest.mark.timeout(300)


def test_a_full_replica_gets_no_new_viewers(stack: Stack) -> None:
    """The load balancer sends them to the other one. If both are full, a viewer can read that the worker is full."""
    stack.settings["CLOCK_MAX_VIEWERS"] = "20"
    stack.scale(2)
    full, other = stack.containers("web")
    viewers = [connect(8001, address=full.address) for _ in range(20)]
    watch(viewers, 3)
    before = stack.viewers()[full.id]
    viewers += [connect(stack.port) for _ in range(15)]
    watch(viewers, 1)
    assert all(viewer.times for viewer in viewers), "none was refused"
    assert stack.viewers()[full.id] <= before
    assert stack.viewers()[other.id] >= 15
    viewers += [connect(stack.port) for _ in range(5)]
    watch(viewers, 3)
    origin: Any = f"http://localhost:{stack.port}"
    url = f"ws://localhost:{stack.port}/ws/clock/"
    with connect_websocket(url, origin=origin) as refused, pytest.raises(ConnectionClosed) as closed:
        refused.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (CLOSE_FULL, "this worker is full")
    close(viewers)
