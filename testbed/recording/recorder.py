"""The recorder: one loop that reads what is published and what any number of clients receive, and records it."""

import gc
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import hiredis
from channels.layers import get_channel_layer

from clock.contract import Tick
from testbed.processes import TooSlow
from testbed.recording.client import LOCALHOST, Client
from testbed.recording.record import NS_PER_S, Published, Record, Span
from testbed.subscriber import CHANNEL

# The longest time between two checks of what is due without data.
POLL_S = 0.02

# Clients that connect at once.
BATCH = 20


class Recorder:
    """Records a run while one of its `run` methods is active. Between two calls nothing is read, and data waits.

    Clients connect to one of the addresses, as they are at that time.

    It subscribes to the ticks on a connection of its own, straight to Redis, and renews it while Redis is unavailable.
    """

    def __init__(self, redis_port: int | None = None, addresses: Sequence[str] = LOCALHOST) -> None:
        self.record = Record()
        self.clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self._redis_port = redis_port
        self._addresses = addresses
        self._redis: socket.socket | None = None
        self._parser = hiredis.Reader()
        self._layer: Any = get_channel_layer()
        self._ready_ns = time.monotonic_ns()

    def __enter__(self) -> Self:
        gc.disable()  # the collector would walk a million recorded frames while clients wait
        return self

    def __exit__(self, *_: object) -> None:
        gc.enable()
        for client in self.clients:
            client.disconnect()
        self._disconnect_redis()
        self._selector.close()

    @property
    def redis_address(self) -> str:
        """The address under which Redis lists its connection."""
        return ":".join(map(str, self._redis.getsockname())) if self._redis is not None else ""

    def subscribe_at(self, redis_port: int) -> None:
        """Subscribe at the Redis on another port from now on."""
        self._disconnect_redis()
        self._redis_port = redis_port

    def add(
        self,
        count: int,
        ports: Sequence[int],
        *,
        rate: int = 100,
        reconnects: bool = False,
        answers_pings: bool = True,
    ) -> list[Client]:
        """Connect so many clients, each to one of these ports, and wait until all are connected."""
        added = [
            Client(ports, self._selector, rate=rate, reconnects=reconnects, answers_pings=answers_pings)
            for _ in range(count)
        ]
        for start in range(0, count, BATCH):
            batch = added[start : start + BATCH]
            for client in batch:
                client.addresses = self._addresses
                self.clients.append(client)
                self.record.clients.append(client.visits)
                client.connect()
            self.run_until(lambda batch=batch: all(client.is_open for client in batch), "all are connected")  # type: ignore[misc]
        return added

    def run(self, seconds: float) -> Span:
        """Read for so many seconds, and return from when until when that was."""
        begin = time.monotonic_ns()
        end = begin + int(seconds * NS_PER_S)
        while time.monotonic_ns() < end:
            self._poll()
        return begin, time.monotonic_ns()

    def run_until(self, condition: Callable[[], object], what: str, seconds: float = 20.0) -> float:
        """Read until a condition holds, and return how many seconds that took.

        Raises: `TooSlow` after `seconds`.
        """
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                raise TooSlow(f"not within {seconds:g} s: {what}")
            self._poll()
        return time.monotonic() - begin

    def run_until_flowing(self, seconds: float = 20.0) -> float:
        """Read until every connected client has received another frame, and return how many seconds that took."""
        counts = {id(client): len(client.visits[-1].frames) for client in self.clients if client.is_open}
        return self.run_until(
            lambda: all(
                len(client.visits[-1].frames) > counts.get(id(client), 0) for client in self.clients if client.is_open
            ),
            "every client receives frames",
            seconds,
        )

    def kept_all_connections(self) -> bool:
        """Return whether every client is still on its first connection."""
        return all(client.is_open and len(client.visits) == 1 for client in self.clients)

    def _poll(self) -> None:
        if self._redis is None and self._redis_port is not None:
            self._connect_redis()
        events = self._selector.select(POLL_S)
        ready_ns, self._ready_ns = self._ready_ns, time.monotonic_ns()
        for key, _ in events:
            key.data(ready_ns)
        for client in self.clients:
            client.check_time()

    # --- Redis ---

    def _connect_redis(self) -> None:
        assert self._redis_port is not None
        try:
            redis = socket.create_connection(("127.0.0.1", self._redis_port), timeout=0.2)
            redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        except OSError:
            return
        redis.setblocking(False)
        self._redis, self._parser = redis, hiredis.Reader()
        self._selector.register(redis, selectors.EVENT_READ, self._read_ticks)

    def _disconnect_redis(self) -> None:
        if self._redis is not None:
            self._selector.unregister(self._redis)
            self._redis.close()
            self._redis = None

    def _read_ticks(self, ready_ns: int) -> None:
        assert self._redis is not None
        try:
            data = self._redis.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect_redis()
            return
        arrived_ns = time.monotonic_ns()
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, list) and reply[0] == b"message":
                try:
                    tick = Tick.from_message(self._layer.deserialize(reply[2]))
                except Exception:  # noqa: BLE001, S112 - invalid messages are published by the tests themselves
                    continue
                self.record.published.append(Published(tick.term, tick.step, tick.at, ready_ns, arrived_ns))
