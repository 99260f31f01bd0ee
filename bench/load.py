"""The load generator as the benchmark drives it: a process of its own, compiled where there is a compiler."""

import functools
import hashlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.floor import accept_key
from testbed.processes import ROOT
from tournament.up.part import die_with

SOURCE = Path(__file__).with_name("load.c")

# What the benchmark makes for itself and keeps: the load generator, and the peers that npm installs.
CACHE = ROOT / ".bench"


class LoadError(RuntimeError):
    """The load generator did not answer, or did not understand; the text says what it was asked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How clients got in: times in milliseconds from the start of the TCP connection, unless their names say otherwise.

    One is in when it has the complete 101, a frame, and an answer to each of its requests of `/clock/now`. `seconds` is
    what it took until all were. `now` is a round trip of `/clock/now`; `other_answers` counts those that were not 200.
    """

    asked: int
    in_: int
    seconds: float
    per_second: float
    other_answers: int
    handshake_p50_ms: float | None
    handshake_p99_ms: float | None
    first_frame_p50_ms: float | None
    first_frame_p99_ms: float | None
    now_p50_ms: float | None
    now_p99_ms: float | None
    failures: dict[str, int]


@dataclass(frozen=True, slots=True)
class Window:
    """What clients got in a window.

    `frames` came within its `seconds`: so late (wall clock on arrival less `at`, milliseconds), and so often with an
    `at` that was the last one's or below it. The gap is the longest any client went without a frame, either end of the
    window counting as one. Of the ticks with from_ <= at < to (milliseconds since the Unix epoch), `worst` came to the
    worst-off client and `median` to the median one, some of them just after the end. `cpu_share` is what the load
    generator itself used, of one core.
    """

    clients: int
    from_: int
    to: int
    seconds: float
    frames: int
    worst: int | None
    median: int | None
    late_p50_ms: float | None
    late_p95_ms: float | None
    late_p99_ms: float | None
    late_max_ms: float | None
    largest_gap_ms: float
    duplicates: int
    steps_back: int
    cpu_share: float
    failures: dict[str, int]


def compiled() -> Path | None:
    """Return the compiled load generator, made now if need be; None where there is no C compiler or no epoll."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = CACHE / f"load-{os.uname().machine}-{digest}"
    if not program.exists():
        CACHE.mkdir(exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-o", str(fresh), str(SOURCE)], check=True)
        fresh.replace(program)
    return program


def command() -> list[str]:
    """Return the command of the load generator, without its arguments."""
    program = compiled()
    return [str(program)] if program else [sys.executable, "-m", "bench.load_picows"]


def _nothing() -> None:
    """Do nothing while an answer is waited for."""


class Load:
    """WebSocket clients of one server on the loopback interface, in a process of their own.

    `meanwhile` is called every tenth of a second while an answer is waited for.
    """

    def __init__(
        self, port: int, *, meanwhile: Callable[[], None] = _nothing, program: list[str] | None = None
    ) -> None:
        self._meanwhile = meanwhile
        key = b64encode(secrets.token_bytes(16))
        self._process = subprocess.Popen(
            [*(program or command()), str(port), key.decode(), accept_key(key).decode()],
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

    def connect(self, count: int, path: str, *, parallel: int = 32, now_calls: int = 0) -> Entry:
        """Let so many more clients in, at most `parallel` at a time, and wait until they are: 90 seconds at most."""
        return Entry(**_renamed(self._ask(f"connect {count} {parallel} {now_calls} {path}", 100)))

    def begin(self) -> tuple[int, int]:
        """Open a window over the clients that are streaming; return their number and the window's first `at`."""
        answer = self._ask("begin")
        return answer["clients"], answer["from"]

    def end(self) -> Window:
        """Close the window. The answer comes when the last of its frames have had time to."""
        return Window(**_renamed(self._ask("end")))

    def close(self) -> int:
        """Have all clients hang up; return how many there were."""
        return int(self._ask("close")["closed"])

    def _ask(self, line: str, seconds: float = 20) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()
        deadline = time.monotonic() + seconds
        while not select.select([stdout], [], [], 0.1)[0]:
            self._meanwhile()
            if time.monotonic() > deadline:
                raise LoadError(f"no answer in time to: {line}")
        told = stdout.readline()
        answer: dict[str, Any] = json.loads(told) if told else {"error": "it has ended"}
        if "error" in answer:
            raise LoadError(f"{answer['error']}: {line}")
        return answer


def _renamed(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose names are no Python keywords."""
    return {{"in": "in_", "from": "from_"}.get(name, name): value for name, value in answer.items()}
