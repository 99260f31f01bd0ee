"""The recorder: one loop that reads what is published and what any number of clients get, and writes it down."""

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
from testbed.recording.client import Client
from testbed.recording.record import Published, Record
from testbed.subscriber import CHANNEL

# Seconds between two looks at what is to be done without a word from anybody.
TURN = 0.02


class Recorder:
    """Writes down a run while it is told to. Between two calls nothing is read, and what comes waits.

    It hears what is published on a connection of its own, straight to Redis, and makes that again for as long as Redis
    is away.
    """

    def __init__(self, redis_port: int | None = None) -> None:
        self.record = Record()
        self.clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self._redis_port = redis_port
        self._redis: socket.socket | None = None
        self._parser = hiredis.Reader()
        self._layer: Any = get_channel_layer()
        self._looked = time.monotonic_ns()

    def __enter__(self) -> Self:
        gc.disable()  # a million frames on record would be walked while clients wait
        return self

    def __exit__(self, *_: object) -> None:
        gc.enable()
        for client in self.clients:
            client.hang_up()
        self._lose_redis()
        self._selector.close()

    @property
    def redis_address(self) -> str:
        """The address that Redis knows it by."""
        return ":".join(map(str, self._redis.getsockname())) if self._redis is not None else ""

    def follow(self, redis_port: int) -> None:
        """Hear what is published there from now on."""
        self._lose_redis()
        self._redis_port = redis_port

    def add(
        self, count: int, ports: Sequence[int], *, rate: int = 100, comes_back: bool = False, answers: bool = True
    ) -> list[Client]:
        """Have so many clients connect to one of these ports each, and wait until all are in."""
        added = [Client(ports, self._selector, rate=rate, comes_back=comes_back, answers=answers) for _ in range(count)]
        for start in range(0, count, 20):
            batch = added[start : start + 20]
            for client in batch:
                self.clients.append(client)
                self.record.clients.append(client.visits)
                client.dial()
            self.run_until(lambda batch=batch: all(client.is_open for client in batch), "all are connected")  # type: ignore[misc]
        return added

    def run(self, seconds: float) -> tuple[int, int]:
        """Read for so long, and return from when until when that was (nanoseconds of the monotonic clock)."""
        begin = time.monotonic_ns()
        end = begin + int(seconds * 1e9)
        while time.monotonic_ns() < end:
            self._turn()
        return begin, time.monotonic_ns()

    def run_until(self, condition: Callable[[], object], what: str, seconds: float = 20.0) -> float:
        """Read until something holds, and return after how many seconds it did; `TooSlow` if it never does."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                raise TooSlow(f"not within {seconds:g} s: {what}")
            self._turn()
        return time.monotonic() - begin

    def run_until_flowing(self, seconds: float = 20.0) -> float:
        """Read until every client that is connected has had a frame from now on, and return after how many seconds."""
        counts = {id(client): len(client.visits[-1].frames) for client in self.clients if client.is_open}
        return self.run_until(
            lambda: all(
                len(client.visits[-1].frames) > counts.get(id(client), 0) for client in self.clients if client.is_open
            ),
            "every client gets frames",
            seconds,
        )

    def _turn(self) -> None:
        if self._redis is None and self._redis_port is not None:
            self._dial_redis()
        ready = self._selector.select(TURN)
        looked, self._looked = self._looked, time.monotonic_ns()
        for key, _ in ready:
            key.data(looked)
        for client in self.clients:
            client.pass_time()

    # --- Redis ---

    def _dial_redis(self) -> None:
        assert self._redis_port is not None
        try:
            redis = socket.create_connection(("127.0.0.1", self._redis_port), timeout=0.2)
            redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        except OSError:
            return
        redis.setblocking(False)
        self._redis, self._parser = redis, hiredis.Reader()
        self._selector.register(redis, selectors.EVENT_READ, self._hear)

    def _lose_redis(self) -> None:
        if self._redis is not None:
            self._selector.unregister(self._redis)
            self._redis.close()
            self._redis = None

    def _hear(self, looked: int) -> None:
        assert self._redis is not None
        try:
            data = self._redis.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose_redis()
            return
        came = time.monotonic_ns()
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, list) and reply[0] == b"message":
                try:
                    tick = Tick.from_message(self._layer.deserialize(reply[2]))
                except Exception:  # noqa: BLE001, S112 - what is no tick was published by the test
                    continue
                self.record.published.append(Published(tick.term, tick.step, tick.at, looked, came))
