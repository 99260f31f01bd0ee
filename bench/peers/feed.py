"""Passes each tick on to a server that takes it by HTTP: one request after the other, over one kept connection.

    python -m bench.peers.feed REDIS_PORT PORT PATH

Only the newest tick counts: what comes while a request is under way is dropped, but for the last.
"""

import socket
import sys

from testbed.subscriber import CHANNEL


def feed(redis_port: int, port: int, path: str) -> None:
    """Pass ticks on until either side goes."""
    redis = socket.create_connection(("127.0.0.1", redis_port))
    redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
    server = socket.create_connection(("127.0.0.1", port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    heard = b""
    while data := redis.recv(1 << 16):
        heard += data
        # The message is MessagePack, but what it carries is the frame's text, verbatim.
        start = heard.rfind(b'{"message"')
        end = heard.find(b"}", start) + 1
        if start < 0 or not end:
            continue
        frame, heard = heard[start:end], heard[end:]
        server.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(frame)) + frame
        )
        if not server.recv(1 << 16):
            raise ConnectionError("the server has hung up")


if __name__ == "__main__":
    feed(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
