"""Posts each tick from Redis to a server that accepts ticks over HTTP, on one connection.

    python -m bench.subjects.feeder REDIS_PORT CHANNEL PORT PATH [BODY]

`%s` in BODY stands for the frame. It sends one request at a time. If several ticks arrive during a request, it posts
only the newest.
"""

import socket
import sys


def feed(redis_port: int, channel: str, port: int, path: str, body: str = "%s") -> None:
    """Post ticks until either side disconnects."""
    redis = socket.create_connection(("127.0.0.1", redis_port))
    redis.sendall(f"SUBSCRIBE {channel}\r\n".encode())
    server = socket.create_connection(("127.0.0.1", port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while data := redis.recv(1 << 16):
        received += data
        # The message is MessagePack. It contains the frame's text unchanged.
        start = received.rfind(b'{"message"')
        end = received.find(b"}", start) + 1
        if start < 0 or not end:
            continue
        content, received = body.encode().replace(b"%s", received[start:end]), received[end:]
        server.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(content)) + content
        )
        if not server.recv(1 << 16):
            raise ConnectionError("the server closed the connection")


if __name__ == "__main__":
    feed(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
