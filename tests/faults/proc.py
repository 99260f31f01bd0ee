"""What the kernel says of a process: see proc(5)."""

import os
import resource
from pathlib import Path


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
