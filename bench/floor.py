"""The floor: the least that Python can do to write each tick to every client, and the yardstick of the benchmark.

    python -m bench.floor PORT REDIS_PORT

One loop over the bound `send` of non-blocking sockets, with nothing around it. It hears the same ticks as a worker, by
a raw socket to the same Redis. Only the newest tick counts, and a client whose socket is full misses it. It checks
nothing, closes nobody, knows no rates, and answers every other request with 404.
"""

import base64
import contextlib
import gc
import hashlib
import resource
import select
import socket
import sys
from collections.abc import Callable

from testbed.subscriber import CHANNEL

# RFC 6455, section 1.3: what a server appends to the client's key before it hashes it.
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Send = Callable[[bytes], int]

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())


def answer(request: bytes) -> bytes:
    """Return the answer to a request: 101 with the right key to a WebSocket's, 404 to any other."""
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            return (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(value.strip()) + b"\r\n\r\n"
            )
    return NOT_FOUND


class Floor:
    """The sockets and the loop over them."""

    def __init__(self, port: int, redis_port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._redis = socket.create_connection(("127.0.0.1", redis_port))
        self._redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        self._redis.setblocking(False)
        self._heard = b""
        self._clients: dict[int, socket.socket] = {}
        self._requests: dict[int, bytes] = {}
        self._sends: dict[int, Send] = {}
        self._flat: list[Send] = []  # rebuilt only when somebody came or went
        self._epoll = select.epoll()
        for one in (self._listener, self._redis):
            self._epoll.register(one, select.EPOLLIN)

    def run(self) -> None:
        """Serve for ever."""
        redis, listener = self._redis.fileno(), self._listener.fileno()
        while True:
            told = False
            for descriptor, _ in self._epoll.poll():
                if descriptor == redis:
                    told = True
                elif descriptor == listener:
                    self._accept()
                else:
                    self._read(descriptor)
            if told:
                self._broadcast()

    def _broadcast(self) -> None:
        # The message is MessagePack, but what it carries is the frame's text, verbatim.
        heard = self._heard + self._redis.recv(1 << 16)
        start = heard.rfind(b'{"message"')
        end = heard.find(b"}", start) + 1
        if start < 0 or not end:
            self._heard = heard[-1024:]
            return
        self._heard = heard[end:]
        frame = bytes((0x81, end - start)) + heard[start:end]
        if len(self._flat) != len(self._sends):
            self._flat = list(self._sends.values())
        for send in self._flat:
            try:
                send(frame)
            except OSError:  # full, so it misses this one; or gone, which the next poll says
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
            self._flat = []  # one may come in the same round as this one goes, and leave their number as it was
            self._sends.pop(descriptor, None)
            del self._requests[descriptor], self._clients[descriptor]
            client.close()
        elif descriptor not in self._sends:
            request = self._requests[descriptor] + data
            if request.endswith(b"\r\n\r\n"):
                reply, request = answer(request), b""
                client.send(reply)
                if reply is not NOT_FOUND:
                    self._sends[descriptor] = client.send
            self._requests[descriptor] = request


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    floor = Floor(int(sys.argv[1]), int(sys.argv[2]))
    gc.freeze()
    floor.run()
