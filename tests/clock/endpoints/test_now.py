"""`/clock/now`, as a page requests it."""

import json
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels.testing import HttpCommunicator

from clock.broadcast.relay import Relay
from clock.contract import GROUP, Tick
from clock.page_version import page_version
from tests.conftest import settle
from tournament.asgi import application


async def request(method: str = "GET", *hosts: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the status, headers and body of a response."""
    headers = [(b"host", host) for host in hosts or (b"localhost:8001",)]
    response: Any = await HttpCommunicator(application, method, "/clock/now", headers=headers).get_response()
    return response["status"], dict(response["headers"]), response["body"]


async def test_before_the_first_tick_the_status_is_503(relay: Relay) -> None:
    """The response contains nothing that could be mistaken for the time."""
    status, headers, body = await request()
    assert status == 503
    assert json.loads(body) == {"message": None, "at": None, "age": None, "bound": None, "synchronised": None}
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"clock-version"] == page_version().encode()


async def test_the_time_is_that_of_the_tickers_clock(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """The clock of this host does not matter: the last tick is from 2001, so the response is from 2001."""
    relay.start()
    await settle()
    await layer.group_send(GROUP, Tick(1_000_000_000_000, "frame", synchronised=False).message())
    await settle()
    status, headers, body = await request()
    assert status == 200
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(body)).encode()
    content = json.loads(body)
    assert content["message"].startswith("2001-09-09 01:46:")
    assert content["at"] == pytest.approx(1_000_000_000_000 + content["age"], abs=0.01)
    assert 0 <= content["age"] < 60_000
    assert content["bound"] is None
    assert content["synchronised"] is False


async def test_head_is_get_without_the_body(relay: Relay) -> None:
    """With the length of the body."""
    status, headers, body = await request("HEAD")
    assert (status, body) == (503, b"")
    assert int(headers[b"content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get_and_head_are_allowed(relay: Relay, method: str) -> None:
    """Other methods get 405 with the header Allow."""
    status, headers, body = await request(method)
    assert (status, headers[b"allow"], body) == (405, b"GET, HEAD", b"")


@pytest.mark.parametrize("hosts", [(b"evil.example",), (b"localhost", b"localhost"), (b"",), (b"\xff",)])
async def test_an_unknown_host_is_refused(relay: Relay, hosts: tuple[bytes, ...]) -> None:
    """Only the hosts of `DJANGO_ALLOWED_HOSTS` are served."""
    status, _, body = await request("GET", *hosts)
    assert (status, body) == (400, b"")


async def test_under_a_path_prefix(relay: Relay) -> None:
    """With `--root-path` the endpoint is below it."""
    communicator = HttpCommunicator(application, "GET", "/board/clock/now", headers=[(b"host", b"localhost")])
    communicator.scope["root_path"] = "/board"
    response: Any = await communicator.get_response()
    assert response["status"] == 503
