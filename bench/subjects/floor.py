"""The floor: the least work with which Python can send each tick to every client. The benchmark compares against it.

    python -m bench.subjects.floor PORT REDIS_PORT

It is one loop over the bound `send` of non-blocking sockets. It receives the same ticks as a worker, on a raw socket
from the same Redis, and sends only the newest one. A client whose socket buffer is full misses it. The floor checks
nothing, closes nobody, ignores `?rate=`, and answers every other request with 404.
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

# RFC 6455, section 1.3: a server appends this to the client's key and hashes both.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Send = Callable[[bytes], int]

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


class Floor:
    """The server: its sockets, and the loop over them."""

    def __init__(self, port: int, redis_port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._redis = socket.create_connection(("127.0.0.1", redis_port))
        self._redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
        self._redis.setblocking(False)
        self._received = b""  # the start of a message whose rest has not arrived
        self._clients: dict[int, socket.socket] = {}  # this and the next two by file descriptor
        self._requests: dict[int, bytes] = {}
        self._sends: dict[int, Send] = {}
        self._send_list: list[Send] = []  # the values of `_sends`, rebuilt when a client connected or disconnected
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
        if len(self._send_list) != len(self._sends):
            self._send_list = list(self._sends.values())
        for send in self._send_list:
            # After an error, the client's buffer is full and it misses this frame, or the next poll reports its end.
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
            self._send_list = []  # another client may connect in the same round, and the lengths would be equal again
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
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    floor = Floor(int(sys.argv[1]), int(sys.argv[2]))
    gc.freeze()
    floor.run()
