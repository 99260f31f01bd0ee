"""The parts of a running clock, each a real process, for the tests and the benchmark."""

import contextlib
import functools
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tournament.up.broker import broker_command
from tournament.up.part import die_with

ROOT = Path(__file__).resolve().parent.parent


class TooSlow(AssertionError):
    """A wait timed out. The message says for what, and what the program printed."""


def free_port() -> int:
    """Return a port of the loopback interface that is free, and that the kernel gives to no client.

    A port from the kernel's own range could become the port of an outgoing connection before the server listens, or
    while it restarts: a client that connects to it could even connect to itself. Below that range this cannot happen.
    """
    lowest_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, max(20_000, lowest_of_clients))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def request(
    address: str, port: int, path: str, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
) -> tuple[int, str]:
    """Return the status and body of the answer to a GET request. The status is 0 if there is no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until a condition holds.

    Raises: `TooSlow` after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooSlow(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Program:
    """A process that the kernel kills when its owner ends. What it prints goes to a file."""

    def __init__(
        self, name: str, command: list[str], directory: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.command = command
        self.log = directory / f"{name}-{time.monotonic_ns()}.log"
        # The caller's environment is not inherited: its settings must not change what is tested.
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "CLOCK_LOG_FORMAT": "text",  # it prints to a file, but people read that, or a test in their place
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.cores: set[int] | None = None  # the processors it may run on; None: those of its owner

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(_prepare, os.getpid(), self.cores),  # noqa: PLW1509 - one thread here
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = 20.0) -> int:
        """Wait until it ends and return the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> int:
        """Stop it with SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it with SIGKILL, if it is running."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def output(self) -> str:
        """Return everything that it printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_output(self, text: str, *, times: int = 1, seconds: float = 20.0) -> None:
        """Wait until it has printed a text at least `times` times.

        Raises: `TooSlow` after `seconds`, or when the process ends before.
        """
        with contextlib.suppress(TooSlow):
            wait_until(lambda: self.output().count(text) >= times or not self.running, text, seconds)
        if self.output().count(text) < times:
            raise TooSlow(f"it did not print {text!r} {times} times; it printed:\n{self.output()}")


class Broker(Program):
    """A Redis or Valkey server on a port of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        super().__init__("broker", [*broker_command(self.port, directory), *options], directory)

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: accepts_connections(self.port), "the broker accepts connections")


class Ticker(Program):
    """`manage.py ticker`: the leader, or a standby."""

    def __init__(self, redis_url: str, directory: Path, **environment: str) -> None:
        super().__init__(
            "ticker", [sys.executable, "manage.py", "ticker"], directory, {"REDIS_URL": redis_url, **environment}
        )

    def wait_until_leader(self, *, times: int = 1) -> None:
        """Wait until it has become the leader at least `times` times."""
        self.wait_for_output("publishing the time", times=times)

    def wait_until_standby(self) -> None:
        """Wait until it knows that another ticker is the leader."""
        self.wait_for_output("standing by")


class Worker(Program):
    """A web worker, `tournament.server`."""

    module: tuple[str, ...] = ("tournament.server",)

    def __init__(self, redis_url: str, directory: Path, **environment: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", *self.module, "-p", str(self.port), "tournament.asgi:application"]
        super().__init__("worker", command, directory, {"REDIS_URL": redis_url, **environment})

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        wait_until(lambda: not self.running or self.get("/healthz")[0] == http.HTTPStatus.OK, "the worker answers")
        assert self.running, self.output()

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return the status and body of a page. The status is 0 if there is no answer."""
        return request("127.0.0.1", self.port, path, headers)

    def wait_for_ticks(self, seconds: float = 20.0) -> None:
        """Wait until `/clock/now` answers with the time."""
        wait_until(lambda: self.get("/clock/now")[0] == http.HTTPStatus.OK, "/clock/now answers with the time", seconds)


class PlainWorker(Worker):
    """A web worker that is Daphne itself."""

    module = ("daphne", "-v", "0")


def _prepare(owner: int, cores: set[int] | None) -> None:
    """Prepare a process before its program is loaded, so that all its threads inherit its processors."""
    die_with(owner, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGQUIT):  # a shell makes its background jobs ignore these
        signal.signal(number, signal.SIG_DFL)
    if cores is not None:
        os.sched_setaffinity(0, cores)


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
