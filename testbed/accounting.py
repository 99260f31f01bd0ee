"""What processes use, as proc(5) says: CPU time, memory and files."""

import contextlib
import os
import resource
from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the nanoseconds that the threads of some processes have been on a CPU (schedstat's first field).

    Finer than the 10 ms of `/proc/PID/stat`. The time of a thread that has ended is not in it.
    """
    total = 0
    for pid in pids:
        for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # it has just ended
                total += int(schedstat.read_text().split()[0])
    return total


def private_bytes(pids: Iterable[int]) -> int:
    """Return the memory that some processes have to themselves (proc(5), smaps_rollup); the kernel's is not in it."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names do


def resident_mib(pid: int) -> float:
    """Return how much memory a process has resident, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def waited_s(pid: int) -> float:
    """Return for how many seconds a process has waited for a processor (schedstat: nanoseconds)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
