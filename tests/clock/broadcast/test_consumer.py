"""The consumer, the WebSocket router and the lifespan, through the test communicator of Channels."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from clock.asgi import DIRECT_WRITE
from clock.broadcast.admission import Admission
from clock.broadcast.consumer import ClockConsumer
from clock.broadcast.relay import Relay
from clock.broadcast.worker import current_worker
from clock.contract import CLOSE_BROKEN_CONTRACT, CLOSE_FULL, GROUP, RATES, Tick
from tests.conftest import FakeViewer, settle
from tournament.asgi import application

OWN_ORIGIN = [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001")]


def client(path: str = "/ws/clock/", headers: list[tuple[bytes, bytes]] | None = None) -> WebsocketCommunicator:
    """Return a client of the whole application. By default it comes from the page's own origin."""
    return WebsocketCommunicator(application, path, headers=OWN_ORIGIN if headers is None else headers)


async def tick(layer: InMemoryChannelLayer, at: int) -> None:
    """Publish a tick, and let it arrive."""
    await layer.group_send(GROUP, Tick(at, f"frame {at}").message())
    await settle()


async def test_a_client_gets_the_unchanged_frames(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """It is accepted without a subprotocol, and gets each frame as the ticker wrote it."""
    viewer = client()
    assert await viewer.connect() == (True, None)
    await settle()
    for at in (1_000, 1_010):
        await tick(layer, at)
        assert await viewer.receive_from() == f"frame {at}"
    await viewer.disconnect()


@pytest.mark.parametrize("rate", RATES)
async def test_a_client_can_request_a_lower_rate(relay: Relay, layer: InMemoryChannelLayer, rate: int) -> None:
    """In two seconds it gets the first tick of each of its periods."""
    viewer = client(f"/ws/clock/?theme=dark&rate={rate}")
    await viewer.connect()
    await settle()
    frames = []
    for at in range(0, 2_000, 10):
        await tick(layer, at)
        if not viewer.output_queue.empty():
            frames.append(await viewer.receive_from())
    assert frames == [f"frame {at}" for at in range(0, 2_000, 1000 // rate)]
    await viewer.disconnect()


@pytest.mark.parametrize("rate", ["0", "3", "1000", "ten", "", "010", "9" * 5_000])
async def test_an_invalid_rate_is_refused_with_the_valid_ones(
    relay: Relay, layer: InMemoryChannelLayer, rate: str
) -> None:
    """The handshake is accepted, so that the client can read the reason. It never gets a frame."""
    viewer = client(f"/ws/clock/?rate={rate}")
    assert (await viewer.connect())[0]
    closing = await viewer.receive_output()
    assert closing["type"] == "websocket.close"
    assert closing["code"] == CLOSE_BROKEN_CONTRACT
    assert closing["reason"] == "rate must be one of auto, 100, 50, 25, 20, 10, 5, 2, 1"
    await tick(layer, 1_000)
    assert await viewer.receive_nothing(0.01)
    await viewer.disconnect()


async def test_the_worker_chooses_the_rate_of_a_client_that_leaves_it_open(
    relay: Relay, layer: InMemoryChannelLayer
) -> None:
    """It changes on the open connection. A client with a rate of its own keeps that."""
    auto, explicit = client("/ws/clock/?rate=auto"), client("/ws/clock/?rate=50")
    received: dict[WebsocketCommunicator, list[str]] = {auto: [], explicit: []}
    for viewer in received:
        await viewer.connect()
    await settle()
    for at in range(0, 2_000, 10):
        relay.fan_out.auto_rate = 100 if at < 1_000 else 10
        await tick(layer, at)
        for viewer, frames in received.items():
            if not viewer.output_queue.empty():
                frames.append(await viewer.receive_from())
    times = [int(frame.removeprefix("frame ")) for frame in received[auto]]
    assert times[:100] == list(range(0, 1_000, 10))
    assert 9 <= len(times[100:]) <= 11
    assert max(after - before for before, after in pairwise(times)) <= 100
    assert received[explicit] == [f"frame {at}" for at in range(0, 2_000, 20)]
    for viewer in received:
        await viewer.disconnect()


@pytest.mark.parametrize(
    "message", [{"text_data": "hello"}, {"text_data": '{"type": "ping"}'}, {"bytes_data": b"\0\xff"}]
)
async def test_a_client_that_sends_a_message_is_disconnected(
    relay: Relay, layer: InMemoryChannelLayer, message: dict[str, Any]
) -> None:
    """Whatever it sends. Other clients are not affected."""
    sender, other = client(), client()
    await sender.connect()
    await other.connect()
    await settle()
    await sender.send_to(**message)
    closing = await sender.receive_output()
    assert closing["code"] == CLOSE_BROKEN_CONTRACT
    assert closing["reason"] == "clients must not send messages"
    await tick(layer, 1_000)
    assert await other.receive_from() == "frame 1000"
    assert await sender.receive_nothing(0.01)
    await sender.disconnect()
    await other.disconnect()


async def test_a_disconnected_client_is_removed(relay: Relay) -> None:
    """The fan-out keeps no reference to it."""
    viewer = client("/ws/clock/?rate=10")
    await viewer.connect()
    assert len(relay.fan_out) == 1
    await viewer.disconnect()
    assert not len(relay.fan_out)


async def connect_and_get_close(viewer: WebsocketCommunicator) -> tuple[int, str]:
    """Connect, and return the code and the reason with which the server closes the connection."""
    assert (await viewer.connect())[0]
    message = await viewer.receive_output()
    return message["code"], message["reason"]


# Predicted loads one after the other, and which clients are refused then.
STAGES = {0.98: set(), 1.02: {"100", "20"}, 1.1: {"100", "20", "10", "auto"}}
STAGES |= {1.03: {"100", "20", "10", "auto"}, 0.96: {"100", "20"}, 0.93: set()}


@pytest.mark.parametrize(("first", "overbooking"), [("auto", 1.0), ("100", 1.2)])
async def test_a_worker_with_too_much_to_do_refuses_viewers(
    relay: Relay, settings: Settings, monkeypatch: pytest.MonkeyPatch, first: str, overbooking: float
) -> None:
    """First those that request more than 10 frames per second. It is full, and not ready, only when it refuses all.

    If nobody leaves the rate to the worker, its core may be overbooked.
    """
    settings.CLOCK_MAX_VIEWERS = None
    first_viewer = client(f"/ws/clock/?rate={first}")
    await first_viewer.connect()
    for load, refused in STAGES.items():
        predicted = load * overbooking
        monkeypatch.setattr(current_worker.rate_control, "predict", lambda _rate, predicted=predicted: predicted)
        for rate in ("100", "20", "10", "auto"):
            if rate == "auto" != first and "10" not in refused:
                continue  # it would be accepted, and the core not be overbooked any more
            viewer = client(f"/ws/clock/?rate={rate}")
            if rate in refused:
                assert await connect_and_get_close(viewer) == (CLOSE_FULL, "this worker is full")
            else:
                assert (await viewer.connect())[0]
                assert await viewer.receive_nothing(0.01)
            await viewer.disconnect()
        assert current_worker.admission.is_full == ("auto" in refused)
    await first_viewer.disconnect()


async def test_a_full_worker_refuses_viewers(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The close code and the reason say so. When a viewer leaves, there is room again."""
    monkeypatch.setattr(current_worker, "admission", Admission(2, 0))
    viewers = [client() for _ in range(4)]
    for viewer in viewers[:2]:
        await viewer.connect()
    await settle()
    assert await connect_and_get_close(viewers[2]) == (CLOSE_FULL, "this worker is full")
    assert len(relay.fan_out) == 2
    await viewers[2].disconnect()
    await viewers[0].disconnect()
    await viewers[3].connect()
    assert len(relay.fan_out) == 2
    for viewer in (viewers[1], viewers[3]):
        await viewer.disconnect()
    assert not len(current_worker.admission)


@pytest.mark.parametrize(
    ("proxies", "addresses", "admitted"),
    [
        ([], [b"192.0.2.1", b"192.0.2.2"], 1),  # the header is ignored, and both come from the proxy
        (["10.0.0.0/8"], [b"192.0.2.1", b"192.0.2.2"], 2),
        (["10.0.0.0/8"], [b"192.0.2.1", b"203.0.113.9, 192.0.2.1"], 1),  # the client wrote the leftmost entry
    ],
)
async def test_limit_per_address(
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    proxies: list[str],
    addresses: list[bytes],
    admitted: int,
) -> None:
    """The address is the one that the trusted proxies report."""
    settings.CLOCK_TRUSTED_PROXIES = [ip_network(proxy) for proxy in proxies]
    monkeypatch.setattr(current_worker, "admission", Admission(0, 1))
    viewers = [client(headers=[*OWN_ORIGIN, (b"x-forwarded-for", address)]) for address in addresses]
    for viewer in viewers:
        viewer.scope["client"] = ["10.0.0.1", 4711]
    await viewers[0].connect()
    if admitted == 2:
        await viewers[1].connect()
    else:
        assert await connect_and_get_close(viewers[1]) == (CLOSE_FULL, "too many viewers from your address")
    await settle()
    assert len(current_worker.admission) == len(relay.fan_out) == admitted
    for viewer in viewers:
        await viewer.disconnect()
    assert not len(current_worker.admission)


async def test_a_consumer_has_no_channel(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """With a hundred clients, the only channel of the layer is the relay's."""
    viewers = [client() for _ in range(100)]
    for viewer in viewers:
        await viewer.connect()
    await settle()
    assert len(layer.groups[GROUP]) == 1
    for viewer in viewers:
        await viewer.disconnect()


async def serve(send: Callable[[dict[str, Any]], Awaitable[None]]) -> tuple[asyncio.Task[None], asyncio.Queue[Any]]:
    """Serve one connection with this `send`. Return its task, and the queue of the client's events."""
    current_worker.relay.start()
    events: asyncio.Queue[Any] = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/ws/clock/", "query_string": b"", "headers": OWN_ORIGIN}
    task = asyncio.ensure_future(ClockConsumer.as_asgi()(scope, events.get, send))
    await settle()
    return task, events


async def test_a_slow_client_misses_frames(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """While the server sends one frame, the next ones are dropped."""
    sent = []
    can_send = asyncio.Event()
    can_send.set()

    async def send(message: dict[str, Any]) -> None:
        await can_send.wait()
        sent.append(message.get("text"))

    task, events = await serve(send)
    can_send.clear()
    for at in (1_000, 1_010, 1_020):
        await tick(layer, at)
    can_send.set()
    await settle()
    await tick(layer, 1_030)
    assert sent == [None, "frame 1000", "frame 1030"]
    events.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task


async def test_an_error_while_sending_removes_the_client(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """Servers raise an error for a client that has just disconnected. Nothing more is sent, and nothing is logged."""
    calls = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if message["type"] == "websocket.send":
            raise RuntimeError("disconnected")

    task, events = await serve(send)
    for at in (1_000, 1_010, 1_020):
        await tick(layer, at)
    assert calls == 2  # the accept, and the frame that failed
    events.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await task


class Scope(dict[str, Any]):
    """A scope that can have weak references."""


async def test_the_scope_is_freed_and_not_changed(relay: Relay) -> None:
    """The server keeps its scope unchanged. Once the server drops it, nothing refers to it."""
    scope = Scope(type="websocket", path="/ws/clock/", query_string=b"", headers=OWN_ORIGIN)
    before = dict(scope)
    events: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})
    task = asyncio.create_task(application(scope, events.get, sent.put))
    await settle()
    assert sent.get_nowait() == {"type": "websocket.accept"}
    assert scope == before
    reference = weakref.ref(scope)
    del scope
    assert reference() is None
    events.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task


async def test_the_viewer_of_the_server_is_preferred(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """If the server offers a viewer, it gets the encoded frames, and `websocket.send` is not used."""
    server_viewer = FakeViewer()
    viewer = client()
    viewer.scope["extensions"] = {DIRECT_WRITE: {"viewer": server_viewer}}
    await viewer.connect()
    await settle()
    await tick(layer, 1_000)
    assert server_viewer.frames == [b"\x81\x0aframe 1000"]
    assert await viewer.receive_nothing(0.01)
    await viewer.disconnect()
    await tick(layer, 1_010)
    assert len(server_viewer.frames) == 1


@pytest.mark.parametrize(
    "path", ["/", "/ws/", "/ws/clock", "/ws/clock/x", "/ws//clock/", "/clock/", "//ws/clock/", "/\u202e"]
)
async def test_an_unknown_path_is_refused(path: str) -> None:
    """The handshake is refused, without a traceback."""
    accepted, _ = await client(path).connect()
    assert not accepted


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8001", "http://localhost:8001"),
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:443", "https://localhost"),  # a proxy that adds the default port
        ("localhost", "http://localhost:80"),
        ("LOCALHOST:8001", "http://localhost:8001"),
        ("127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("[::1]:8001", "http://[::1]:8001"),
        ("localhost:8001", "https://board.example.org"),  # in the setting
        ("localhost:8001", "HTTPS://BOARD.example.org"),
    ],
)
async def test_the_own_origin_is_allowed(relay: Relay, settings: Settings, host: str, origin: str) -> None:
    """The Origin has the host and port of the Host header, or it is in the setting."""
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
        [(b"host", b"localhost:8001")],  # not a browser: see the setting below
        [(b"origin", b"http://localhost:8001")],
        [(b"host", b"evil.example"), (b"origin", b"http://evil.example")],  # DNS rebinding
        [(b"host", b"localhost:8001"), (b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001")],
        [*OWN_ORIGIN, (b"origin", b"http://localhost:8001")],
        [],
    ],
)
async def test_other_origins_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Another host, port or scheme, an invalid or missing Origin, or a Host that is not allowed."""
    accepted, _ = await client(headers=headers).connect()
    assert not accepted


async def test_a_setting_allows_clients_without_an_origin(relay: Relay, settings: Settings) -> None:
    """Programs send no Origin. Their Host must still be allowed."""
    settings.CLOCK_ALLOW_MISSING_ORIGIN = True
    viewer = client(headers=[(b"host", b"localhost")])
    assert (await viewer.connect())[0]
    await viewer.disconnect()
    accepted, _ = await client(headers=[(b"host", b"evil.example")]).connect()
    assert not accepted


async def test_under_a_path_prefix(relay: Relay) -> None:
    """With `--root-path` the stream is below it."""
    viewer = client("/board/ws/clock/")
    viewer.scope["root_path"] = "/board"
    assert (await viewer.connect())[0]
    await viewer.disconnect()


async def test_the_relay_starts_and_stops_with_the_server(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """By the ASGI lifespan. It is in the group before the first client connects, and leaves it at the end."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    replies: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(application({"type": "lifespan"}, events.get, replies.put))
    events.put_nowait({"type": "lifespan.startup"})
    assert (await replies.get())["type"] == "lifespan.startup.complete"
    await settle()
    assert GROUP in layer.groups
    events.put_nowait({"type": "lifespan.shutdown"})
    assert (await replies.get())["type"] == "lifespan.shutdown.complete"
    assert GROUP not in layer.groups
    await task
