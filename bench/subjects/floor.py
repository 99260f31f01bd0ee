"""The floor: the least work with which Python can send each tick to every client. The benchmark compares against it.

    python -m bench.subjects.floor PORT REDIS_PORT CHANNEL

It is one loop over the bound `send` of non-blocking sockets. It receives the same ticks as a worker, on a raw socket
from the same Redis, and sends only the newest one. A client whose socket buffer is full misses it. Clients that request
`?rate=10` are spread over the ten ticks of their period, as the worker's with `rate=auto`. The floor checks nothing,
closes nobody, and answers every other request with 404.
"""

import base64
import contextlib
import gc
import hashlib
import re
import resource
import select
import socket
import sys
from collections.abc import Callable

from clock.contract import DEFAULT_RATE, TICK_MS

# RFC 6455, section 1.3: a server appends this to the client's key and hashes both.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Send = Callable[[bytes], int]

RATE = re.compile(rb"GET \S*[?&]rate=(\d+)[& ]")
AT = re.compile(rb'"at": (\d+)')

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def answer(request: bytes) -> bytes:
    """Return the answer to a request: 101 with the correct key to a WebSocket handshake, 404 to any other."""
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            return (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(value.strip()) + b"\r\n\r\n"
            )
    return NOT_FOUND


def period_of(request: bytes) -> int:
    """Return every how many ticks a client gets a frame."""
    rate = RATE.match(request)
    return DEFAULT_RATE // int(rate[1]) if rate else 1


class Floor:
    """The server: its sockets, and the loop over them."""

    def __init__(self, port: int, redis_port: int, channel: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._redis = socket.create_connection(("127.0.0.1", redis_port))
        self._redis.sendall(f"SUBSCRIBE {channel}\r\n".encode())
        self._redis.setblocking(False)
        self._received = b""  # the start of a message whose rest has not arrived
        self._clients: dict[int, socket.socket] = {}  # this and the next two by file descriptor
        self._requests: dict[int, bytes] = {}
        self._lists: dict[int, list[Send]] = {}  # in which list of `_phases` a client is
        self._phases: dict[int, list[list[Send]]] = {}  # by period: for each tick of it, the clients that get a frame
        self._epoll = select.epoll()
        for one in (self._listener, self._redis):
            self._epoll.register(one, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the process is ended."""
        redis, listener = self._redis.fileno(), self._listener.fileno()
        while True:
            has_tick = False
            for descriptor, _ in self._epoll.poll():
                if descriptor == redis:
                    has_tick = True
                elif descriptor == listener:
                    self._accept()
                else:
                    self._read(descriptor)
            if has_tick:
                self._broadcast()

    def _broadcast(self) -> None:
        # The message is MessagePack. It contains the frame's text unchanged.
        received = self._received + self._redis.recv(1 << 16)
        start = received.rfind(b'{"message"')
        end = received.find(b"}", start) + 1
        if start < 0 or not end:
            self._received = received[-1024:]
            return
        self._received = received[end:]
        frame = bytes((0x81, end - start)) + received[start:end]
        at = AT.search(frame)
        assert at
        number = int(at[1]) // TICK_MS
        for period, phases in self._phases.items():
            for send in phases[number % period]:
                # After an error, the client's buffer is full and it misses this frame, or the next poll tells its end.
                try:
                    send(frame)
                except OSError:
                    continue

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[client.fileno()] = client
                self._requests[client.fileno()] = b""
                self._epoll.register(client, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        try:
            data = client.recv(1 << 12)
        except OSError:
            data = b""
        if not data:
            if descriptor in self._lists:
                self._lists.pop(descriptor).remove(client.send)
            del self._requests[descriptor], self._clients[descriptor]
            client.close()
        elif descriptor not in self._lists:
            request = self._requests[descriptor] + data
            if request.endswith(b"\r\n\r\n"):
                reply = answer(request)
                client.send(reply)
                if reply is not NOT_FOUND:
                    period = period_of(request)
                    phases = self._phases.setdefault(period, [[] for _ in range(period)])
                    self._lists[descriptor] = min(phases, key=len)
                    self._lists[descriptor].append(client.send)
                request = b""
            self._requests[descriptor] = request


if __name__ == "__main__":
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    floor = Floor(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    gc.freeze()
    floor.run()
