"""What processes use: CPU time and memory, of a program with all that it started."""

import contextlib
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
