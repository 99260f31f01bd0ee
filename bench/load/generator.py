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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from bench.load.results import ConnectResult, LoadResult, WindowResult
from testbed.debian import install
from testbed.processes import ROOT
from tournament.up.part import die_with

SOURCES = Path(__file__).with_name("generator")
CACHE = ROOT / ".bench"
COMPILER_PACKAGES = ["gcc", "libc6-dev"]

# The C program gives up connecting after 90 s and loading after 60 s, and answers any other command within a second.
CONNECT_TIMEOUT_S = 100.0
LOAD_TIMEOUT_S = 70.0
TIMEOUT_S = 20.0
IDLE_INTERVAL_S = 0.1


class LoadError(RuntimeError):
    """The load generator cannot be built, or does not answer a command. The text says why."""


def compiled() -> Path:
    """Return the load generator's program. Compile it if this version of it is not compiled yet.

    Raises:
        LoadError: there is no C compiler, and it cannot be installed.
    """
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
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
        modules = [str(source) for source in sources if source.suffix == ".c"]
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(temporary), *modules], check=True)
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

    def connect(  # noqa: PLR0913 - each is a property of a client
        self,
        count: int,
        path: str,
        *,
        name: str = "viewers",
        parallel: int = 32,
        now_calls: int = 0,
        lenient: bool = False,
    ) -> ConnectResult:
        """Connect `count` more clients of the class `name`, at most `parallel` at a time, and wait for all of them.

        Each also sends `now_calls` requests for `/clock/now` on a second connection, and keeps that for probes. It
        fails at a text that is not a tick, unless `lenient`. This takes at most 90 s.
        """
        command = f"connect {name} {count} {parallel} {now_calls} {int(lenient)} {path}"
        return ConnectResult(**self._command(command, CONNECT_TIMEOUT_S))

    def send_probes(self, interval_s: float) -> int:
        """Let each client with a second connection send a probe per interval, spread evenly; return their number.

        0 stops them.
        """
        return int(self._command(f"probe {interval_s * 1000:.0f}")["clients"])

    def begin_window(self, duration_s: float = 0) -> int:
        """Start to measure the clients that are streaming; return their number.

        With a duration, ticks are counted for exactly so long; otherwise until the end of the window.
        """
        return int(self._command(f"begin {duration_s * 1000:.0f}")["clients"])

    def end_window(self) -> WindowResult:
        """Stop measuring. This takes 0.3 s, so that the window's last frames can arrive."""
        return WindowResult.from_json(self._command("end"))

    def load_pages(self, files: Sequence[str], count: int, connections: int) -> LoadResult:
        """Load `count` pages at once, and wait for all of them: at most 60 s.

        Each gets the first of `files`, which is the HTML, and then the others on at most so many connections. The files
        of the first call are those of all calls.
        """
        if not self._has_files:
            for path in files:
                self._command(f"file {path}")
            self._has_files = True
        return LoadResult(**self._command(f"load {count} {connections}", LOAD_TIMEOUT_S))

    _has_files = False

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
