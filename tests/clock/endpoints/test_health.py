"""`/healthz` and `/readyz`, as a load balancer requests them."""

import json
from typing import Any

import pytest
from channels.testing import HttpCommunicator

from clock.asgi import SERVER_STATUS, ServerStatus
from clock.broadcast.admission import Admission
from clock.broadcast.relay import Relay
from clock.broadcast.worker import current_worker
from clock.contract import Tick
from tests.conftest import settle
from tournament.asgi import application


async def request(
    path: str,
    method: str = "GET",
    hosts: tuple[bytes, ...] = (b"localhost",),
    status: ServerStatus | None = None,
    version: str = "1.1",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the status, headers and body of a response. `status` is the server's, if it offers one."""
    communicator = HttpCommunicator(application, method, path, headers=[(b"host", host) for host in hosts])
    communicator.scope["http_version"] = version
    if status is not None:
        communicator.scope["extensions"] = {SERVER_STATUS: {"status": status}}
    response: Any = await communicator.get_response()
    return response["status"], dict(response["headers"]), response["body"]


async def readiness(status: ServerStatus | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of `/readyz`."""
    code, headers, body = await request("/readyz", status=status)
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    return code, json.loads(body)


async def test_without_a_tick_a_worker_is_live_but_not_ready(relay: Relay) -> None:
    """It can serve the page, but must not get new viewers."""
    code, headers, body = await request("/healthz")
    assert (code, headers[b"content-type"], body) == (200, b"text/plain", b"alive\n")
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick yet"]})


async def test_a_worker_is_ready_while_the_last_tick_is_fresh(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be less than a second old. With the next tick the worker is ready again."""
    now = 100.0
    for owner in (relay, relay.tick_filter):
        monkeypatch.setattr(owner, "_now", lambda: now)
    relay.tick_filter.accept(Tick(0, "0"))
    assert await readiness() == (200, {"ready": True, "reasons": []})
    now += 0.999
    assert await readiness() == (200, {"ready": True, "reasons": []})
    now += 0.001
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick for 1.0 s"]})
    now += 1.3
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick for 2.3 s"]})
    relay.tick_filter.accept(Tick(2_300, "1"))
    assert await readiness() == (200, {"ready": True, "reasons": []})


async def test_a_draining_worker_is_not_ready(relay: Relay) -> None:
    """With or without ticks. The response lists all reasons."""
    status = ServerStatus()
    relay.tick_filter.accept(Tick(0, "0"))
    assert await readiness(status) == (200, {"ready": True, "reasons": []})
    status.draining = True
    assert await readiness(status) == (503, {"ready": False, "reasons": ["draining"]})
    relay.tick_filter.last = None
    assert await readiness(status) == (503, {"ready": False, "reasons": ["no tick yet", "draining"]})
    assert (await request("/healthz", status=status))[0] == 200


async def test_a_full_worker_is_not_ready(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would refuse another viewer. When one leaves, it is ready again."""
    relay.tick_filter.accept(Tick(0, "0"))
    admission = Admission(1, 0)
    monkeypatch.setattr(current_worker, "admission", admission)
    admission.admit("a viewer")
    assert await readiness() == (503, {"ready": False, "reasons": ["full"]})
    admission.release("a viewer")
    assert await readiness() == (200, {"ready": True, "reasons": []})


async def test_a_worker_is_not_live_once_its_relay_is_down(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds. Until then the relay may recover, and an unavailable Redis does not count."""
    down = 9.9
    monkeypatch.setattr(relay, "down_for", lambda: down)
    assert (await request("/healthz"))[0] == 200
    down = 10.0
    code, _, body = await request("/healthz")
    assert (code, body) == (503, b"the relay is not running\n")
    down = 0.0
    assert (await request("/healthz"))[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", [b"192.0.2.7:8001", b"[2001:db8::7]", b"clock-7f9.default.svc", b"", b"\xff"])
async def test_any_single_host_is_accepted(relay: Relay, path: str, host: bytes) -> None:
    """Kubernetes uses the address of a pod, which no setting can name in advance."""
    relay.tick_filter.accept(Tick(0, "0"))
    assert (await request(path, hosts=(host,)))[0] == 200
    assert (await request(path, hosts=(host, host)))[0] == 400
    assert (await request(path, hosts=()))[0] == 400
    assert (await request(path, hosts=(), version="1.0"))[0] == 200
    assert (await request(path, hosts=(host, host), version="1.0"))[0] == 400


async def test_the_first_request_starts_the_relay(relay: Relay) -> None:
    """Creating the relay does not start it. Some servers have no lifespan."""
    assert current_worker.relay is relay
    assert relay.state == ""
    await request("/healthz")
    await settle()
    assert relay.state == "waiting"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_only_get_and_head_are_allowed(relay: Relay, path: str) -> None:
    """As for `/clock/now`."""
    relay.tick_filter.accept(Tick(0, "0"))
    code, headers, body = await request(path, "HEAD")
    assert (code, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0
    assert (await request(path, "POST"))[0] == 405
