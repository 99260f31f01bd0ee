"""The sockets that the supervisor listens on: those that Daphne's command line names."""

import argparse
import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

# Connections that the kernel holds until they are accepted. Twisted's own is 50, which a crowd that reconnects at once
# exceeds; the kernel reduces it to net.core.somaxconn.
BACKLOG: Final = 4096

# Daphne's defaults.
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000

# The rights of a Unix socket: anybody may connect. Daphne's are the same.
UNIX_SOCKET_MODE: Final = 0o666


class CannotListen(RuntimeError):
    """A port, path or descriptor is unavailable; the text says which, and why."""


class Listeners:
    """The listening sockets of some options: `host`, `port`, `unix_socket` and `file_descriptor`.

    Raises:
        CannotListen: one of them is unavailable.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.sockets: list[socket.socket] = []
        self._path = ""  # of our Unix socket
        is_elsewhere = options.unix_socket or options.file_descriptor is not None
        try:
            if options.host or options.port is not None or not is_elsewhere:
                port = DEFAULT_PORT if options.port is None else options.port
                self.sockets.append(listen_on(options.host or DEFAULT_HOST, port))
            if options.unix_socket:
                self.sockets.append(_listen_on_path(options.unix_socket))
                self._path = options.unix_socket
            if options.file_descriptor is not None:
                self.sockets.append(_adopt(options.file_descriptor))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        for listener in self.sockets:
            listener.close()
        self.sockets.clear()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108 - the path of a socket is a text
            self._path = ""


def listen_on(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a TCP port. An empty host stands for all IPv4 addresses.

    Raises:
        CannotListen: the port is unavailable.
    """
    host = host.strip("[]")
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    listener = None
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of before do not matter
        listener.bind((address[0], port, *address[2:]))
        return _start(listener)
    except (OSError, OverflowError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        raise CannotListen(f"cannot listen on {shown}: {error}") from None


def describe(listener: socket.socket) -> str:
    """Return where a socket listens: the clock's address, or the path of a Unix socket."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return str(name)
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}/clock/"


def _listen_on_path(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if Path(path).is_socket() and not _is_served(path):
            os.unlink(path)  # noqa: PTH108 - the path of a socket is a text; whoever made it has died
        listener.bind(path)
        os.chmod(path, UNIX_SOCKET_MODE)  # noqa: PTH101 - as above
        return _start(listener)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {path}: {error}") from None


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        return client.connect_ex(path) not in {errno.ECONNREFUSED, errno.ENOENT}


def _adopt(descriptor: int) -> socket.socket:
    """Return the socket behind a descriptor, which whoever started this process has made to listen."""
    try:
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
    except OSError as error:
        raise CannotListen(f"cannot listen on descriptor {descriptor}: {error}") from None
    return listener


def _start(listener: socket.socket) -> socket.socket:
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
