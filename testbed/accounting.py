"""The CPU time, memory and open files of processes (proc(5))."""

import contextlib
import os
import resource
from collections.abc import Iterable
from pathlib import Path


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    children: list[int] = []
    with contextlib.suppress(OSError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return [pid, *(one for child in children for one in process_tree(child))]


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time of the processes' threads, in nanoseconds (the first field of `schedstat`).

    This is finer than the 10 ms of `/proc/PID/stat`, but it does not include threads that have ended.
    """
    total = 0
    for pid in pids:
        for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # it has just ended
                total += int(schedstat.read_text().split()[0])
    return total


def private_bytes(pids: Iterable[int]) -> int:
    """Return the memory that the processes do not share with others (`smaps_rollup`), without the kernel's."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only the number counts


def resident_mib(pid: int) -> float:
    """Return how much memory a process has resident, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def waited_s(pid: int) -> float:
    """Return how long a process was ready but waited for a processor, in seconds (schedstat's second field)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
