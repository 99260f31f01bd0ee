"""`/clock/now`, as a page asks for it."""

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


async def ask(method: str = "GET", *hosts: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the status, headers and body of an answer."""
    headers = [(b"host", host) for host in hosts or (b"localhost:8001",)]
    answer: Any = await HttpCommunicator(application, method, "/clock/now", headers=headers).get_response()
    return answer["status"], dict(answer["headers"]), answer["body"]


async def test_before_the_first_tick(relay: Relay) -> None:
    """503, and nothing that could be taken for the time."""
    status, headers, body = await ask()
    assert status == 503
    assert json.loads(body) == {"message": None, "at": None, "age": None, "bound": None, "synchronised": None}
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"clock-version"] == page_version().encode()


async def test_it_is_on_the_tickers_timeline(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Whatever this host's clock says: the last tick was in 2001, so it is 2001."""
    relay.start()
    await settle()
    await layer.group_send(GROUP, Tick(1_000_000_000_000, "frame", synchronised=False).message())
    await settle()
    status, headers, body = await ask()
    assert status == 200
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(body)).encode()
    answer = json.loads(body)
    assert answer["message"].startswith("2001-09-09 01:46:")
    assert answer["at"] == pytest.approx(1_000_000_000_000 + answer["age"], abs=0.01)
    assert 0 <= answer["age"] < 60_000
    assert answer["bound"] is None
    assert answer["synchronised"] is False


async def test_head_is_get_without_the_body(relay: Relay) -> None:
    """With the length that the body would have."""
    status, headers, body = await ask("HEAD")
    assert (status, body) == (503, b"")
    assert int(headers[b"content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_is_to_be_written(relay: Relay, method: str) -> None:
    """Everything but GET and HEAD is refused."""
    status, headers, body = await ask(method)
    assert (status, headers[b"allow"], body) == (405, b"GET, HEAD", b"")


@pytest.mark.parametrize("hosts", [(b"evil.example",), (b"localhost", b"localhost"), (b"",), (b"\xff",)])
async def test_an_unknown_host_is_refused(relay: Relay, hosts: tuple[bytes, ...]) -> None:
    """Under a name that is not the clock's there is nothing."""
    status, _, body = await ask("GET", *hosts)
    assert (status, body) == (400, b"")


async def test_under_a_path_prefix(relay: Relay) -> None:
    """With `--root-path` it is found below it."""
    communicator = HttpCommunicator(application, "GET", "/board/clock/now", headers=[(b"host", b"localhost")])
    communicator.scope["root_path"] = "/board"
    answer: Any = await communicator.get_response()
    assert answer["status"] == 503
