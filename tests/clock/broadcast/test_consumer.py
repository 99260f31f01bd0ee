"""The consumer and who may reach it, through Channels' own communicator."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from clock.asgi import DIRECT_WRITE
from clock.broadcast.admission import Admission
from clock.broadcast.consumer import ClockConsumer
from clock.broadcast.relay import Relay
from clock.broadcast.worker import this_worker
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, GROUP, RATES, Tick
from tests.conftest import Client, settle
from tournament.asgi import application

OWN = [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001")]


def client(path: str = "/ws/clock/", headers: list[tuple[bytes, bytes]] | None = None) -> WebsocketCommunicator:
    """Return a client of the whole application; by default one from the page's own origin."""
    return WebsocketCommunicator(application, path, headers=OWN if headers is None else headers)


async def tick(layer: InMemoryChannelLayer, at: int) -> None:
    """Publish a tick and let it arrive."""
    await layer.group_send(GROUP, Tick(at, f"frame {at}").message())
    await settle()


async def test_a_client_gets_the_frames_verbatim(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Accepted without a word, it gets each tick's frame as the ticker wrote it."""
    viewer = client()
    assert await viewer.connect() == (True, None)
    await settle()
    for at in (1_000, 1_010):
        await tick(layer, at)
        assert await viewer.receive_from() == f"frame {at}"
    await viewer.disconnect()


@pytest.mark.parametrize("rate", RATES)
async def test_a_client_may_ask_for_fewer_frames(relay: Relay, layer: InMemoryChannelLayer, rate: int) -> None:
    """In two seconds it gets the first tick of each of its periods."""
    viewer = client(f"/ws/clock/?theme=dark&rate={rate}")
    await viewer.connect()
    await settle()
    got = []
    for at in range(0, 2_000, 10):
        await tick(layer, at)
        if not viewer.output_queue.empty():
            got.append(await viewer.receive_from())
    assert got == [f"frame {at}" for at in range(0, 2_000, 1000 // rate)]
    await viewer.disconnect()


@pytest.mark.parametrize("rate", ["0", "3", "1000", "ten", "", "010", "9" * 5_000])
async def test_another_rate_is_told_what_is_accepted(relay: Relay, layer: InMemoryChannelLayer, rate: str) -> None:
    """Accepted, so that the reason can be read, and closed at once; it never gets a frame."""
    viewer = client(f"/ws/clock/?rate={rate}")
    assert (await viewer.connect())[0]
    closing = await viewer.receive_output()
    assert closing["type"] == "websocket.close"
    assert closing["code"] == CLOSE_BROKEN_CONTRACT
    assert closing["reason"] == "rate must be one of 100, 50, 25, 20, 10, 5, 2, 1"
    await tick(layer, 1_000)
    assert await viewer.receive_nothing(0.01)
    await viewer.disconnect()


@pytest.mark.parametrize(
    "message", [{"text_data": "hello"}, {"text_data": '{"type": "ping"}'}, {"bytes_data": b"\0\xff"}]
)
async def test_a_client_that_sends_is_closed(
    relay: Relay, layer: InMemoryChannelLayer, message: dict[str, Any]
) -> None:
    """Whatever it sends; and nobody else notices."""
    talker, other = client(), client()
    await talker.connect()
    await other.connect()
    await settle()
    await talker.send_to(**message)
    closing = await talker.receive_output()
    assert closing["code"] == CLOSE_BROKEN_CONTRACT
    assert closing["reason"] == "clients must not send messages"
    await tick(layer, 1_000)
    assert await other.receive_from() == "frame 1000"
    assert await talker.receive_nothing(0.01)
    await talker.disconnect()
    await other.disconnect()


async def test_a_client_that_leaves_is_forgotten(relay: Relay) -> None:
    """The relay keeps nothing of it."""
    viewer = client("/ws/clock/?rate=10")
    await viewer.connect()
    assert len(relay.fan_out) == 1
    await viewer.disconnect()
    assert not len(relay.fan_out)


async def closing(viewer: WebsocketCommunicator) -> tuple[int, str]:
    """Connect, and return the code and reason of the close that follows."""
    assert (await viewer.connect())[0]
    message = await viewer.receive_output()
    return message["code"], message["reason"]


async def test_a_worker_that_is_full(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is let in and told so; when one leaves, there is room again."""
    monkeypatch.setattr(this_worker, "admission", Admission(2, 0))
    viewers = [client() for _ in range(4)]
    for viewer in viewers[:2]:
        await viewer.connect()
    await settle()
    assert await closing(viewers[2]) == (CLOSE_FULL, "this worker is full")
    assert len(relay.fan_out) == 2
    await viewers[2].disconnect()
    await viewers[0].disconnect()
    await viewers[3].connect()
    assert len(relay.fan_out) == 2
    for viewer in (viewers[1], viewers[3]):
        await viewer.disconnect()
    assert not len(this_worker.admission)


@pytest.mark.parametrize(
    ("proxies", "addresses", "admitted"),
    [
        ([], [b"192.0.2.1", b"192.0.2.2"], 1),  # nobody is believed, and both come from the proxy
        (["10.0.0.0/8"], [b"192.0.2.1", b"192.0.2.2"], 2),
        (["10.0.0.0/8"], [b"192.0.2.1", b"203.0.113.9, 192.0.2.1"], 1),  # the leftmost is what the client wrote
    ],
)
async def test_so_many_from_one_address(
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    proxies: list[str],
    addresses: list[bytes],
    admitted: int,
) -> None:
    """Which is the one that trusted proxies name."""
    settings.CLOCK_TRUSTED_PROXIES = [ip_network(proxy) for proxy in proxies]
    monkeypatch.setattr(this_worker, "admission", Admission(0, 1))
    viewers = [client(headers=[*OWN, (b"x-forwarded-for", address)]) for address in addresses]
    for viewer in viewers:
        viewer.scope["client"] = ["10.0.0.1", 4711]
    await viewers[0].connect()
    if admitted == 2:
        await viewers[1].connect()
    else:
        assert await closing(viewers[1]) == (CLOSE_FULL, "too many viewers from your address")
    await settle()
    assert len(this_worker.admission) == len(relay.fan_out) == admitted
    for viewer in viewers:
        await viewer.disconnect()
    assert not len(this_worker.admission)


async def test_it_has_no_channel_of_its_own(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """A hundred clients cost the layer nothing, and its one channel is the relay's."""
    viewers = [client() for _ in range(100)]
    for viewer in viewers:
        await viewer.connect()
    await settle()
    assert len(layer.groups[GROUP]) == 1
    for viewer in viewers:
        await viewer.disconnect()


async def serve(send: Callable[[dict[str, Any]], Awaitable[None]]) -> tuple[asyncio.Task[None], asyncio.Queue[Any]]:
    """Serve one connection with a `send` of one's own; return the task and the queue of what the client does."""
    this_worker.relay.start()
    does: asyncio.Queue[Any] = asyncio.Queue()
    does.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/ws/clock/", "query_string": b"", "headers": OWN}
    task = asyncio.create_task(ClockConsumer.as_asgi()(scope, does.get, send))
    await settle()
    return task, does


async def test_a_client_that_is_slow_misses_frames(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """While the server is still at one frame, the next ones go by, and none is kept."""
    sent = []
    room = asyncio.Event()
    room.set()

    async def send(message: dict[str, Any]) -> None:
        await room.wait()
        sent.append(message.get("text"))

    task, does = await serve(send)
    room.clear()
    for at in (1_000, 1_010, 1_020):
        await tick(layer, at)
    room.set()
    await settle()
    await tick(layer, 1_030)
    assert sent == [None, "frame 1000", "frame 1030"]
    does.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task


async def test_a_client_that_has_just_gone(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """What the server raises for it reaches nobody, and it gets no more."""
    calls = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if message["type"] == "websocket.send":
            raise RuntimeError("gone")

    task, does = await serve(send)
    for at in (1_000, 1_010, 1_020):
        await tick(layer, at)
    assert calls == 2  # the accept, and the one that failed
    does.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await task


class Scope(dict[str, Any]):
    """A scope that can be watched."""


async def test_nothing_is_kept_of_a_handshake_and_nothing_is_taken_from_others(relay: Relay) -> None:
    """Whoever stands around the application still has the scope as it was; when it lets go, it is gone."""
    scope = Scope(type="websocket", path="/ws/clock/", query_string=b"", headers=OWN)
    before = dict(scope)
    does: asyncio.Queue[Any] = asyncio.Queue()
    says: asyncio.Queue[Any] = asyncio.Queue()
    does.put_nowait({"type": "websocket.connect"})
    task = asyncio.create_task(application(scope, does.get, says.put))
    await settle()
    assert says.get_nowait() == {"type": "websocket.accept"}
    assert scope == before
    watched = weakref.ref(scope)
    del scope
    assert watched() is None
    does.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task


async def test_the_servers_own_way_to_write(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Where the server offers a viewer, frames go to it, ready for the wire, and none through `websocket.send`."""
    member = Client()
    viewer = client()
    viewer.scope["extensions"] = {DIRECT_WRITE: {"viewer": member}}
    await viewer.connect()
    await settle()
    await tick(layer, 1_000)
    assert member.frames == [b"\x81\x0aframe 1000"]
    assert await viewer.receive_nothing(0.01)
    await viewer.disconnect()
    await tick(layer, 1_010)
    assert len(member.frames) == 1


@pytest.mark.parametrize(
    "path", ["/", "/ws/", "/ws/clock", "/ws/clock/x", "/ws//clock/", "/clock/", "//ws/clock/", "/\u202e"]
)
async def test_an_unknown_path_is_refused(path: str) -> None:
    """The handshake is answered with a refusal, and not with a traceback."""
    accepted, _ = await client(path).connect()
    assert not accepted


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8001", "http://localhost:8001"),
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:443", "https://localhost"),  # a proxy that spells the port out
        ("localhost", "http://localhost:80"),
        ("LOCALHOST:8001", "http://localhost:8001"),
        ("127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("[::1]:8001", "http://[::1]:8001"),
        ("localhost:8001", "https://board.example.org"),  # named in the setting
        ("localhost:8001", "HTTPS://BOARD.example.org"),
    ],
)
async def test_the_pages_own_origin_is_let_in(relay: Relay, settings: Settings, host: str, origin: str) -> None:
    """Host and port of the Origin are those of the Host; or the origin is named in the setting."""
    settings.CLOCK_ALLOWED_ORIGINS = ["https://board.example.org"]
    viewer = client(headers=[(b"host", host.encode()), (b"origin", origin.encode())])
    assert (await viewer.connect())[0]
    await viewer.disconnect()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8002")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://127.0.0.1:8001")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://evil.example")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001.evil.example")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001@evil.example")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://evil.example/http://localhost:8001")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001/clock/")],
        [(b"host", b"localhost:8001"), (b"origin", b"null")],
        [(b"host", b"localhost:8001"), (b"origin", b"")],
        [(b"host", b"localhost:8001"), (b"origin", b"file://localhost:8001")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:port")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://[::1")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://\xff\xfe:8001")],
        [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:99999999999999999999")],
        [(b"host", b"localhost:8001")],  # no browser: see the setting below
        [(b"origin", b"http://localhost:8001")],
        [(b"host", b"evil.example"), (b"origin", b"http://evil.example")],  # a rebound name
        [(b"host", b"localhost:8001"), (b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001")],
        [*OWN, (b"origin", b"http://localhost:8001")],
        [],
    ],
)
async def test_others_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Another host, port or scheme, a broken origin, none at all, or a Host that is not ours."""
    accepted, _ = await client(headers=headers).connect()
    assert not accepted


async def test_a_setting_admits_clients_without_an_origin(relay: Relay, settings: Settings) -> None:
    """Programs send none. Their Host must still be allowed."""
    settings.CLOCK_ALLOW_MISSING_ORIGIN = True
    viewer = client(headers=[(b"host", b"localhost")])
    assert (await viewer.connect())[0]
    await viewer.disconnect()
    accepted, _ = await client(headers=[(b"host", b"evil.example")]).connect()
    assert not accepted


async def test_under_a_path_prefix(relay: Relay) -> None:
    """With `--root-path` the stream is found below it."""
    viewer = client("/board/ws/clock/")
    viewer.scope["root_path"] = "/board"
    assert (await viewer.connect())[0]
    await viewer.disconnect()


async def test_the_relay_lives_as_long_as_the_server(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """By ASGI's lifespan it starts before any client comes, and lets go of Redis in the end."""
    says: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(application({"type": "lifespan"}, says.get, answers.put))
    says.put_nowait({"type": "lifespan.startup"})
    assert (await answers.get())["type"] == "lifespan.startup.complete"
    await settle()
    assert GROUP in layer.groups
    says.put_nowait({"type": "lifespan.shutdown"})
    assert (await answers.get())["type"] == "lifespan.shutdown.complete"
    assert GROUP not in layer.groups
    await task
