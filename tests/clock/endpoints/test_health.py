"""`/healthz` and `/readyz`, as a load balancer asks for them."""

import json
from typing import Any

import pytest
from channels.testing import HttpCommunicator

from clock.asgi import SERVER_STATUS, ServerStatus
from clock.broadcast.admission import Admission
from clock.broadcast.relay import Relay
from clock.broadcast.worker import this_worker
from clock.contract import Tick
from tests.conftest import settle
from tournament.asgi import application


async def ask(
    path: str,
    method: str = "GET",
    hosts: tuple[bytes, ...] = (b"localhost",),
    status: ServerStatus | None = None,
    version: str = "1.1",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the status, headers and body of an answer; by a server that tells its status, or does not."""
    communicator = HttpCommunicator(application, method, path, headers=[(b"host", host) for host in hosts])
    communicator.scope["http_version"] = version
    if status is not None:
        communicator.scope["extensions"] = {SERVER_STATUS: {"status": status}}
    answer: Any = await communicator.get_response()
    return answer["status"], dict(answer["headers"]), answer["body"]


async def readiness(status: ServerStatus | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of `/readyz`."""
    code, headers, body = await ask("/readyz", status=status)
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    return code, json.loads(body)


async def test_alive_is_not_ready(relay: Relay) -> None:
    """Without a tick the worker is well and shows its page, but is not to be sent viewers."""
    code, headers, body = await ask("/healthz")
    assert (code, headers[b"content-type"], body) == (200, b"text/plain", b"alive\n")
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick yet"]})


async def test_ready_while_the_last_tick_is_fresh(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a second old; and ready again with the next."""
    now = 100.0
    for clocked in (relay, relay.tick_filter):
        monkeypatch.setattr(clocked, "_now", lambda: now)
    relay.tick_filter.take(Tick(0, "0"))
    assert await readiness() == (200, {"ready": True, "reasons": []})
    now += 0.999
    assert await readiness() == (200, {"ready": True, "reasons": []})
    now += 0.001
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick for 1.0 s"]})
    now += 1.3
    assert await readiness() == (503, {"ready": False, "reasons": ["no tick for 2.3 s"]})
    relay.tick_filter.take(Tick(2_300, "1"))
    assert await readiness() == (200, {"ready": True, "reasons": []})


async def test_not_ready_while_it_drains(relay: Relay) -> None:
    """Whatever the ticks do; all reasons are told."""
    status = ServerStatus()
    relay.tick_filter.take(Tick(0, "0"))
    assert await readiness(status) == (200, {"ready": True, "reasons": []})
    status.draining = True
    assert await readiness(status) == (503, {"ready": False, "reasons": ["draining"]})
    relay.tick_filter.last = None
    assert await readiness(status) == (503, {"ready": False, "reasons": ["no tick yet", "draining"]})
    assert (await ask("/healthz", status=status))[0] == 200


async def test_not_alive_once_its_relay_is_down(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """For ten seconds: until then it may come back, and without Redis it is not down."""
    down = 9.9
    monkeypatch.setattr(relay, "down_for", lambda: down)
    assert (await ask("/healthz"))[0] == 200
    down = 10.0
    code, _, body = await ask("/healthz")
    assert (code, body) == (503, b"the relay is not running\n")
    down = 0.0
    assert (await ask("/healthz"))[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", [b"192.0.2.7:8001", b"[2001:db8::7]", b"clock-7f9.default.svc", b"", b"\xff"])
async def test_by_any_single_host(relay: Relay, path: str, host: bytes) -> None:
    """Kubernetes asks by the address of a pod, which nobody knows beforehand."""
    relay.tick_filter.take(Tick(0, "0"))
    assert (await ask(path, hosts=(host,)))[0] == 200
    assert (await ask(path, hosts=(host, host)))[0] == 400
    assert (await ask(path, hosts=()))[0] == 400
    assert (await ask(path, hosts=(), version="1.0"))[0] == 200
    assert (await ask(path, hosts=(host, host), version="1.0"))[0] == 400


async def test_to_ask_for_the_relay_does_not_start_it(relay: Relay) -> None:
    """A request does: there are servers without a lifespan."""
    assert this_worker.relay is relay
    assert relay.state == ""
    await ask("/healthz")
    await settle()
    assert relay.state == "waiting"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_only_to_be_read(relay: Relay, path: str) -> None:
    """As `/clock/now`."""
    relay.tick_filter.take(Tick(0, "0"))
    code, headers, body = await ask(path, "HEAD")
    assert (code, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0
    assert (await ask(path, "POST"))[0] == 405


async def test_not_ready_while_it_is_full(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer more would be sent away; one that leaves makes room."""
    relay.tick_filter.take(Tick(0, "0"))
    admission = Admission(1, 0)
    monkeypatch.setattr(this_worker, "admission", admission)
    admission.join("a viewer")
    assert await readiness() == (503, {"ready": False, "reasons": ["full"]})
    admission.leave("a viewer")
    assert await readiness() == (200, {"ready": True, "reasons": []})
