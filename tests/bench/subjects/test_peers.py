"""What the peers need: ticks over HTTP, and an address that subscribes."""

import json
import socket
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.subjects.gate import publish
from bench.subjects.peers import CENTRIFUGO_PATH, centrifugo_configuration
from testbed.processes import Broker, Program, wait_until

TICK = b'\x83{"message": "2026-11-22 12:48:00.12", "at": 10}\x00'


def publish_to_one(redis: socket.socket) -> bool:
    """Publish a tick; return whether somebody received it."""
    redis.sendall(publish(b"feeder-test", TICK))
    return redis.recv(64) == b":1\r\n"


def test_the_feeder_posts_each_tick_in_the_form_that_a_server_needs(broker: Broker, directory: Path) -> None:
    """The frame alone, or inside something else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "bench.subjects.feeder", str(broker.port), "feeder-test", port, "/publish"]
        with (
            Program("feeder", [*command, '{"data": %s}'], directory),
            socket.create_connection(("127.0.0.1", broker.port)) as redis,
        ):
            server, _ = listener.accept()
            server.settimeout(10)
            wait_until(lambda: publish_to_one(redis), "the feeder has subscribed")
            request = b""
            while not request.endswith(b"}}"):
                request += server.recv(4096)
            server.close()
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /publish HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}" in head.decode()
    assert json.loads(body) == {"data": {"message": "2026-11-22 12:48:00.12", "at": 10}}


def test_centrifugos_viewers_subscribe_by_the_address() -> None:
    """In a form that the load generator can pass on: one word of at most 255 characters."""
    address = urlsplit(CENTRIFUGO_PATH)
    assert json.loads(parse_qs(address.query)["cf_connect"][0]) == {"subs": {"ticks": {}}}
    assert " " not in CENTRIFUGO_PATH
    assert len(CENTRIFUGO_PATH) < 256
    assert json.dumps(centrifugo_configuration(8000))
