"""The load generator: a program in C that opens WebSocket clients and measures what they receive.

It runs on Linux (epoll) and is compiled at the first use.
"""

import functools
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from testbed.debian import install
from testbed.processes import ROOT
from tournament.up.part import die_with

SOURCE = Path(__file__).with_name("generator.c")
CACHE = ROOT / ".bench"
COMPILER_PACKAGES = ["gcc", "libc6-dev"]

# The C program gives up connecting after 90 s, and answers any other command within a second.
CONNECT_TIMEOUT_S = 100.0
TIMEOUT_S = 20.0
IDLE_INTERVAL_S = 0.1


class LoadError(RuntimeError):
    """The load generator cannot be built, or does not answer a command. The text says why."""


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """How clients connected.

    A client is connected when it has the complete 101, a frame, and an answer to each of its requests for `/clock/now`.
    `seconds` is the time until all were. A handshake lasts from the start of the TCP connection to the complete 101.
    `failures` are counts by reason.
    """

    connected: int
    seconds: float
    non_200_answers: int
    handshake_p99_ms: float | None
    failures: dict[str, int]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What clients received in a window of time.

    `frames` arrived within its `seconds`. Lateness is the wall clock on arrival minus the frame's `at`. `duplicates`
    and `steps_back` count frames whose `at` was equal to or below the previous one. The gap is the longest time that
    any client was without a frame; the start and the end of the window count as frames. `worst_ticks` is how many ticks
    with from_ms <= at < to_ms (milliseconds since the Unix epoch) the worst client received, up to 0.3 s after the end.
    `cpu_share` is the load generator's own CPU time, as a share of one core.
    """

    clients: int
    from_ms: int
    to_ms: int
    seconds: float
    frames: int
    worst_ticks: int
    late_p50_ms: float | None
    late_p99_ms: float | None
    largest_gap_ms: float
    duplicates: int
    steps_back: int
    cpu_share: float
    failures: dict[str, int]


def compiled() -> Path:
    """Return the load generator's program. Compile it if this version of it is not compiled yet.

    Raises:
        LoadError: there is no C compiler, and it cannot be installed.
    """
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = CACHE / f"generator-{os.uname().machine}-{digest}"
    if not program.exists():
        if shutil.which("cc") is None:
            install(COMPILER_PACKAGES)
        compiler = shutil.which("cc")
        if compiler is None:
            packages = " ".join(COMPILER_PACKAGES)
            raise LoadError(f"The load generator needs a C compiler. On Debian: apt-get install {packages}")
        CACHE.mkdir(exist_ok=True)
        temporary = program.with_suffix(f".{os.getpid()}")  # two processes may compile at the same time
        subprocess.run([compiler, "-O2", "-o", str(temporary), str(SOURCE)], check=True)
        temporary.replace(program)
    return program


class LoadGenerator:
    """A process with WebSocket clients of one server on the loopback interface.

    It calls `while_waiting` every 0.1 s while it waits for an answer. Every method raises `LoadError` if the process
    does not answer in time or reports an error.
    """

    def __init__(self, port: int, *, while_waiting: Callable[[], None] = lambda: None) -> None:
        self._while_waiting = while_waiting
        self._process = subprocess.Popen(
            [str(compiled()), str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - one thread here
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def connect(self, count: int, path: str, *, parallel: int = 32, now_calls: int = 0) -> ConnectResult:
        """Connect `count` more clients, at most `parallel` at a time, and wait for all of them: at most 90 s."""
        return ConnectResult(**self._command(f"connect {count} {parallel} {now_calls} {path}", CONNECT_TIMEOUT_S))

    def begin_window(self) -> int:
        """Start to measure the clients that are streaming; return their number."""
        return int(self._command("begin")["clients"])

    def end_window(self) -> WindowResult:
        """Stop measuring. This takes 0.3 s, so that the window's last frames can arrive."""
        return WindowResult(**self._command("end"))

    def close(self) -> int:
        """Disconnect all clients; return their number."""
        return int(self._command("close")["closed"])

    def _command(self, line: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()
        deadline = time.monotonic() + timeout_s
        while not select.select([stdout], [], [], IDLE_INTERVAL_S)[0]:
            self._while_waiting()
            if time.monotonic() > deadline:
                raise LoadError(f"no answer within {timeout_s:g} s: {line}")
        text = stdout.readline()
        answer: dict[str, Any] = json.loads(text) if text else {"error": "the load generator has ended"}
        if "error" in answer:
            raise LoadError(f"{answer['error']}: {line}")
        return answer
